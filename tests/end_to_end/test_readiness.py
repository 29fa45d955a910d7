"""/readyz asks its parts at a bounded rate, however often it is asked, and in bounded time."""

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from entrypoints.http import readiness
from entrypoints.settings import Settings
from tests.doubles.destination import Answer, Destination
from tests.running import running_service, settings_for
from tests.waiting import eventually, within

KEYS = json.dumps({"current": "sig_1", "next": "sig_2"}).encode()


@pytest.fixture
def stub() -> Iterator[Destination]:
    """A queue whose calls are counted."""
    with Destination().running() as stub:
        yield stub


def _settings(stub: Destination) -> Settings:
    return settings_for(
        qstash_token="token",
        qstash_current_signing_key="sig_1",
        qstash_next_signing_key="sig_2",
        base_url="http://127.0.0.1:9",
        qstash_url=stub.url,
        qstash_timeout=60.0,
    )


def test_many_anonymous_calls_are_few_questions(stub: Destination) -> None:
    stub.answers.extend([Answer(body=KEYS)] * 500)
    with running_service(_settings(stub)) as service, ThreadPoolExecutor(16) as callers:
        began = time.monotonic()
        answers = list(
            callers.map(
                lambda _: httpx.get(f"{service.url}/readyz", timeout=within(20)), range(200)
            )
        )
        seconds = time.monotonic() - began
    assert {each.status_code for each in answers} == {200}
    assert len(stub.at("/v2/keys")) <= 1 + seconds / readiness.GOOD_FOR


@pytest.mark.soak
def test_those_who_ask_at_once_share_one_question_that_may_hang(stub: Destination) -> None:
    gate = threading.Event()
    stub.answers.append(Answer(body=KEYS, gate=gate))
    stub.answers.extend([Answer(body=KEYS)] * 50)
    with running_service(_settings(stub)) as service, ThreadPoolExecutor(8) as callers:
        began = time.monotonic()
        answers = list(
            callers.map(lambda _: httpx.get(f"{service.url}/readyz", timeout=within(20)), range(8))
        )
        seconds = time.monotonic() - began
        gate.set()
        assert readiness.TIMEOUT - 1 < seconds < readiness.TIMEOUT + 3
        assert {each.status_code for each in answers} == {503}
        assert [each.json()["checks"]["queue"] for each in answers] == ["no response"] * 8
        assert len(stub.at("/v2/keys")) == 1
        # A fault is not kept for long.
        eventually(lambda: service.client.http.get("/readyz").status_code == 200)
