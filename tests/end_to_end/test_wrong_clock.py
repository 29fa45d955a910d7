"""A machine whose clock is wrong takes deliveries all the same, and says that it is wrong."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dependency_injector import providers

from adapters.qstash import QueueClock
from entrypoints.container import Container
from tests.commands import invoke
from tests.doubles.destination import Answer, Destination
from tests.doubles.upstream import Upstream
from tests.running import running_service, settings_for
from tests.signing import CURRENT, NEXT, WEBHOOK, deliver, keys_answer, message, sign
from tests.waiting import eventually

BASE = "https://tasks.example"
SET = {"qstash_current_signing_key": CURRENT, "qstash_next_signing_key": NEXT}


@pytest.fixture
def stub() -> Iterator[Destination]:
    """A queue whose clock is right, whatever this machine's says."""
    with Destination().running() as stub:
        stub.answers.extend([Answer(body=keys_answer())] * 500)
        yield stub


@pytest.mark.parametrize("keys", [{}, SET], ids=["keys asked for", "keys set"])
@pytest.mark.parametrize("slow", [-4_000, -400, 6, 60, 400, 4_000])
def test_deliveries_are_judged_by_the_queues_clock(
    stub: Destination, slow: int, keys: dict[str, Any]
) -> None:
    stub.ahead = slow
    settings = settings_for(qstash_token="token", base_url=BASE, qstash_url=stub.url, **keys)
    url = BASE + WEBHOOK
    with running_service(settings) as service:
        http, body = service.client.http, message("task_1_a")
        assert deliver(http, body, sign(url, body, CURRENT, slow)).status_code == 200
        ready = http.get("/readyz")
        assert ready.status_code == 200
        if abs(slow) > 10:
            said = ready.json()["checks"]["clock"]
            off = int(said.removeprefix("off by ").removesuffix(" s"))
            assert abs(off - abs(slow)) <= 3
        # The time for which a delivery can be replayed is not stretched.
        now = int(time.time()) + slow
        for claims in ({"exp": now - 10}, {"nbf": now + 15}, {"iat": now + 15}):
            signature = sign(url, body, CURRENT, slow, **claims)
            assert deliver(http, body, signature).status_code == 401
        if abs(slow) > 300:
            assert deliver(http, body, sign(url, body, CURRENT)).status_code == 401


@pytest.mark.parametrize("wrong", [-600.0, 600.0])
def test_a_whole_task_on_a_machine_whose_clock_is_wrong(wrong: float, upstream: Upstream) -> None:
    """On a local QStash: published, signed by its clock, delivered, done."""
    clock = QueueClock(wall=lambda: time.time() + wrong)
    with (
        Container.queue_clock.override(providers.Object(clock)),
        running_service(settings_for(openai_base_url=upstream.url)) as service,
    ):
        service.client.wait_for(service.client.start(), "completed")
        assert service.client.http.get("/readyz").json()["checks"]["clock"].startswith("off by ")
        assert 'deliveries_total{status="401"}' not in service.client.http.get("/metrics").text


def test_a_clock_that_is_right_is_not_spoken_of(stub: Destination) -> None:
    settings = settings_for(qstash_token="token", base_url=BASE, qstash_url=stub.url)
    with running_service(settings) as service:
        eventually(lambda: stub.at("/v2/keys"))
        assert service.client.http.get("/readyz").json()["checks"] == {"store": "ok", "queue": "ok"}


@pytest.mark.parametrize(("slow", "said"), [(400, "s slow"), (-400, "s fast"), (0, "")])
def test_the_doctor_says_so(tmp_path: Path, stub: Destination, slow: int, said: str) -> None:
    stub.ahead = slow
    ran = invoke(tmp_path, "doctor", QSTASH_TOKEN="token", QSTASH_URL=stub.url, BASE_URL=stub.url)
    [*found] = [line for line in ran.stdout.splitlines() if "this machine's clock" in line]
    assert len(found) == (1 if said else 0), ran.stdout
    if said:
        assert found[0].startswith("warn queue: this machine's clock is ")
        assert found[0].endswith(said)
    assert "the signing keys are fetched" in ran.stdout
