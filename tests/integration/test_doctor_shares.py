"""What the doctor says of shares: whether the queue delivers as much at a time as they allow."""

import asyncio
import contextlib
import json
from collections.abc import Iterator
from typing import Any

import pytest

from adapters.qstash import QStashQueue
from entrypoints.doctor.findings import Finding
from entrypoints.doctor.shares import check_shares
from entrypoints.settings import Settings
from tests.doubles.destination import Answer, Destination
from tests.end_to_end.guarded import ALICES_ENTRY, BOBS_ENTRY, SECRET
from tests.running import settings_for

KEYS: dict[str, Any] = {"api_keys": f"{ALICES_ENTRY},{BOBS_ENTRY}", "stream_secret": SECRET}
SHARES = "*:parallelism=4,alice:parallelism=20"
NOTHING_MORE = Answer(404, body=b'{"error":"not found"}')


@pytest.fixture
def qstash() -> Iterator[Destination]:
    with Destination().running() as qstash:
        yield qstash


def _told(most: object) -> Answer:
    told = {"parallelismMax": most, "parallelismCount": 0}
    return Answer(headers={"Content-Type": "application/json"}, body=json.dumps(told).encode())


@pytest.mark.parametrize(
    ("answer", "level", "what"),
    [
        (_told(10), "warn", "your plan of QStash has 10 deliveries at a time"),
        (_told(23), "warn", "but the shares allow 24 or more"),
        (_told(24), "ok", "24 deliveries at a time, and the shares allow 24"),
        (_told(0), None, ""),
        (_told("many"), None, ""),
        (NOTHING_MORE, None, ""),
    ],
)
def test_the_parallelism_of_a_plan_is_compared_with_the_shares(
    qstash: Destination, answer: Answer, level: str | None, what: str
) -> None:
    qstash.answers.append(answer)
    settings = settings_for(
        **KEYS,
        shares=SHARES,
        qstash_token="t",
        qstash_url=qstash.url,
        base_url="https://tasks.example.org",
    )
    found = _examined(settings)
    assert qstash.at("/v2/globalParallelism")
    assert [each.level for each in found] == ([] if level is None else [level])
    assert all(what in each.what for each in found)


@pytest.mark.parametrize(("most", "level"), [(23, "warn"), (24, "ok")])
def test_so_is_what_the_service_handles_itself(most: int, level: str) -> None:
    settings = settings_for(**KEYS, shares=SHARES, max_concurrent_deliveries=most)
    (found,) = _examined(settings)
    assert found.level == level


@pytest.mark.parametrize("shares", ["", "*:rate=60/1m"])
def test_nothing_is_asked_without_a_parallelism(shares: str) -> None:
    assert _examined(settings_for(**KEYS, shares=shares)) == []


def test_a_share_that_the_limits_do_not_let_be_used_is_told() -> None:
    settings = settings_for(
        **KEYS, shares=SHARES, limits="running=10", owner_limits="bob:running=3"
    )
    found = [each.what for each in _examined(settings) if each.level == "warn"]
    assert found == [
        "the share of alice lets 20 tasks run at a time, but its limit of running tasks is 10"
    ]


def test_names_without_a_key_are_told(tmp_path: Any) -> None:
    file = tmp_path / "keys"
    file.write_text(f"{ALICES_ENTRY}\n")
    settings = settings_for(
        api_keys_file=str(file), stream_secret=SECRET, shares="alice:rate=1/s,alcie:rate=1/s"
    )
    (found,) = _examined(settings)
    assert (found.level, found.what.rpartition(": ")[2]) == ("warn", "alcie")


def _examined(settings: Settings) -> list[Finding]:
    async def examine() -> list[Finding]:
        queue = QStashQueue(
            token="t",
            url=settings.queue.qstash_url,
            webhook_url="http://127.0.0.1:1/webhook",
            failure_url="http://127.0.0.1:1/failure",
            retries=0,
            retry_delay="1000",
            timeout=5.0,
            delivery_timeout=None,
        )
        async with contextlib.aclosing(queue):
            return [each async for each in check_shares(settings, queue)]

    return asyncio.run(examine())
