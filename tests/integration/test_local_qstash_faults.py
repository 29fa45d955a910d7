"""What fails unexpectedly in the local QStash is logged, and everything else goes on."""

import time
from collections.abc import Sequence
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from adapters.qstash import DEVELOPMENT
from entrypoints.local_qstash import callbacks, delivery, resuming
from entrypoints.local_qstash.account import Account
from entrypoints.local_qstash.delivery import Deliveries
from entrypoints.local_qstash.filters import Search
from entrypoints.local_qstash.journal import Journal
from entrypoints.local_qstash.message import QueuedMessage
from entrypoints.local_qstash.publish_headers import read_message
from entrypoints.local_qstash.resuming import SUSPECT, Resumption
from entrypoints.local_qstash.store import Pending
from tests.deliveries import publish_one
from tests.doubles.destination import Answer, Destination
from tests.running import running_local_qstash
from tests.waiting import until


def test_a_request_that_fails_unexpectedly_is_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(_: Account) -> None:
        raise RuntimeError("of a test")

    monkeypatch.setattr(Account, "rotate_keys", fail)
    headers = {"Authorization": f"Bearer {DEVELOPMENT.token}"}
    with running_local_qstash() as url, capture_logs() as lines:
        failed = httpx.post(f"{url}/v2/keys/rotate", headers=headers)
    assert (failed.status_code, "its log" in failed.json()["error"]) == (500, True)
    assert [str(each["exc_info"]) for each in lines if "exc_info" in each] == ["of a test"]


async def test_a_sweep_that_fails_is_not_the_last_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "SWEEP_PAUSE", 0.01)
    sweeps = 0

    def fail(_: Journal, now: float) -> None:
        nonlocal sweeps
        sweeps += 1
        raise RuntimeError(f"of a test at {now}")

    monkeypatch.setattr(Journal, "drop_old", fail)
    deliveries = Deliveries(DEVELOPMENT.current_key)
    with capture_logs() as lines:
        await until(lambda: sweeps > 1)
    await deliveries.aclose()
    assert {each["event"] for each in lines} == {"old messages not swept"}


async def test_messages_are_tried_although_those_before_are_not_cleared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(resuming, "TRIAL", 0.01)
    cleared: list[Sequence[str]] = []

    async def fail(message_ids: Sequence[str]) -> Any:
        cleared.append(message_ids)
        raise RuntimeError("of a test")

    resumption = Resumption(fail)
    suspect = Pending.of(read_message("http://x.test/", {}, b"", now=time.time()))
    suspect.interruptions = SUSPECT
    await resumption.turn(suspect)
    await until(lambda: cleared)
    await resumption.turn(suspect)
    resumption.close()


async def test_a_callback_that_cannot_be_made_does_not_keep_its_message(
    destination: Destination, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = {"Upstash-Failure-Callback": f"{destination.url}/failed", "Upstash-Retries": "0"}
    message = read_message(destination.url, headers, b"x", now=time.time())

    def fail(*_: object, **__: object) -> QueuedMessage:
        raise RuntimeError("of a test")

    monkeypatch.setattr(callbacks, "read_message", fail)
    destination.answers.append(Answer(500))
    deliveries = Deliveries(DEVELOPMENT.current_key)
    with capture_logs() as lines:
        await publish_one(deliveries, message)
        await until(lambda: not deliveries.waiting)
    letters, _ = await deliveries.dead_letters.page(Search())
    assert [each.message.id for each in letters] == [message.id]
    assert "callback not published" in [each["event"] for each in lines]
    await deliveries.aclose()
