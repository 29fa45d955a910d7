"""The attempts of a process tell of one outage of the store together."""

import asyncio
from collections.abc import Iterator, MutableMapping
from typing import Any

import pytest
from structlog.testing import capture_logs

from application import store_retries
from application.errors import StoreUnavailable
from application.store_retries import StoreRetries
from tests.waiting import until

TASKS, LEASE = 20, 60.0
DOWN, UP = "store unavailable: retrying", "store available again"


class Disk:
    """A store that is full until there is room."""

    def __init__(self) -> None:
        self.room = False
        self.calls = 0

    async def write(self) -> str:
        self.calls += 1
        if not self.room:
            raise StoreUnavailable("the disk is full")
        return "written"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_retries, "FIRST_PAUSE", 0.002)
    monkeypatch.setattr(store_retries, "LONGEST_PAUSE", 0.002)


@pytest.fixture
def logged() -> Iterator[list[MutableMapping[str, Any]]]:
    with capture_logs() as lines:
        yield lines


async def test_many_attempts_tell_of_one_outage_once(
    logged: list[MutableMapping[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    retries, disk = StoreRetries(), Disk()
    async with asyncio.TaskGroup() as attempts:
        waiting = [
            attempts.create_task(retries.while_leased(disk.write, LEASE)) for _ in range(TASKS)
        ]
        await until(lambda: disk.calls > 10 * TASKS)
        assert [line["event"] for line in logged] == [DOWN]
        monkeypatch.setattr(store_retries, "TOLD_EVERY", 0.0)  # the minute is over
        await until(lambda: len(logged) > 1)
        assert logged[1]["event"] == DOWN
        assert logged[1]["failures"] > 10 * TASKS
        monkeypatch.setattr(store_retries, "TOLD_EVERY", 60.0)
        disk.room = True
    assert {each.result() for each in waiting} == {"written"}
    assert logged[-1]["event"] == UP
    assert logged[-1]["failures"] == disk.calls - TASKS
    assert [line["event"] for line in logged].count(UP) == 1
    disk.room = False
    with pytest.raises(StoreUnavailable):
        await retries.while_leased(disk.write, 0.0)
    assert (logged[-1]["event"], logged[-1]["failures"]) == (DOWN, 1)  # the next outage


async def test_an_outage_that_no_attempt_survives_ends_with_the_next_write(
    logged: list[MutableMapping[str, Any]],
) -> None:
    retries, disk = StoreRetries(), Disk()
    retries.works()
    assert not logged
    with pytest.raises(StoreUnavailable):
        await retries.while_leased(disk.write, 0.0)

    def told() -> bool:
        retries.works()
        return bool(logged[-1]["event"] == UP)

    await until(told)
    retries.works()
    assert [line["event"] for line in logged] == [DOWN, UP]
