"""Time in a data file: a process that was frozen, a clock that was set, and what is over."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from time import sleep
from typing import Any

import pytest

from adapters.sqlite import AwakeClock
from adapters.sqlite.stored import find
from application.errors import DeletedTask, LeaseLost, UnknownTask
from application.ports import TOMBSTONE_TTL, Busy, NotOrphaned, Orphaned
from domain.events import ContentAdded, TaskStatus
from domain.failure import Failure
from tests.builders import LEASE, NOW, REQUEST, begun, submit
from tests.integration.sqlite_bench import Opened, opened
from tests.waiting import until

FAILURE = Failure("model_error", "It failed.", True)
HOUR = 3600.0
TTL, ORPHAN_TIMEOUT = 24 * HOUR, HOUR


@dataclass
class Time:
    """Both clocks of a file, which tests move."""

    monotonic: float = 1_000.0
    wall: float = 1.7e9
    awake: AwakeClock = field(init=False)

    def __post_init__(self) -> None:
        self.awake = AwakeClock(lambda: self.monotonic)

    def sleep(self, seconds: float) -> None:
        """Nothing runs meanwhile."""
        self.monotonic += seconds
        self.wall += seconds

    def work(self, seconds: float) -> None:
        """The clock is read all the time."""
        for _ in range(round(seconds)):
            self.sleep(1)
            self.awake()


@pytest.fixture
def time() -> Time:
    return Time()


@asynccontextmanager
async def _opened(folder: Path, time: Time) -> AsyncIterator[Opened]:
    async with opened(
        folder / "longtask.db",
        ttl=TTL,
        orphan_timeout=ORPHAN_TIMEOUT,
        clock=time.awake,
        wall=lambda: time.wall,
    ) as file:
        yield file


async def test_a_process_that_was_frozen_loses_no_task(tmp_path: Path, time: Time) -> None:
    async with _opened(tmp_path, time) as file:
        attempt, waiting = await begun(file.tasks), await submit(file.tasks)
        time.sleep(10 * 24 * HOUR)
        assert isinstance(await file.tasks.claim(attempt.task.id, LEASE, NOW), Busy)
        for task_id in (attempt.task.id, waiting):
            outcome = await file.tasks.fail_orphaned(task_id, FAILURE, NOW)
            assert isinstance(outcome, NotOrphaned)
        attempt = await file.tasks.append(attempt, [ContentAdded(NOW, "on")], LEASE)
        await file.tasks.renew(attempt, LEASE)
    time.sleep(10 * 24 * HOUR)
    async with _opened(tmp_path, time) as file:
        for task_id in (attempt.task.id, waiting):
            assert isinstance(await file.tasks.fail_orphaned(task_id, FAILURE, NOW), NotOrphaned)


async def test_while_the_process_works_time_passes(tmp_path: Path, time: Time) -> None:
    async with _opened(tmp_path, time) as file:
        attempt, waiting = await begun(file.tasks), await submit(file.tasks)
        time.work(LEASE + 1)
        await file.tasks.renew(attempt, LEASE)
        time.work(ORPHAN_TIMEOUT - LEASE)
        outcome = await file.tasks.fail_orphaned(waiting, FAILURE, NOW)
        assert isinstance(outcome, Orphaned)
        kept = await submit(file.tasks)
        time.work(TTL - 1)
        assert (await file.tasks.get(kept)).id == kept
        time.work(1)
        with pytest.raises(UnknownTask):
            await file.tasks.get(kept)
        await until(lambda: _count(file, "tasks", 0))


async def test_a_task_that_ends_while_it_is_read_is_found(
    tmp_path: Path, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reader has a snapshot of before the end."""
    found, go_on = threading.Event(), threading.Event()

    def find_slowly(connection: Any, task_id: str) -> Any:
        stored = find(connection, task_id)
        if threading.current_thread().name.startswith("database-reader"):
            found.set()
            assert go_on.wait(30)
        return stored

    async with _opened(tmp_path, time) as file:
        time.work(TTL)  # so a task that is unfinished and unknown to this process has expired
        attempt = await begun(file.tasks)
        monkeypatch.setattr("adapters.sqlite.records.find", find_slowly)
        reading = asyncio.create_task(file.tasks.get(attempt.task.id))
        assert await asyncio.to_thread(found.wait, 30)
        await file.tasks.commit(attempt, attempt.task.fail(NOW, FAILURE))
        go_on.set()
        assert (await reading).status is TaskStatus.RUNNING
        assert (await file.tasks.get(attempt.task.id)).status is TaskStatus.FAILED


async def test_a_restart_does_not_forget_that_a_task_is_delayed(tmp_path: Path, time: Time) -> None:
    """Its times count from the end of the delay. While the machine sleeps, they stand still."""
    delay = round(TTL + 3 * HOUR)
    async with _opened(tmp_path, time) as file:
        delayed = await submit(file.tasks, replace(REQUEST, delay=delay))
        await file.tasks.note_message(delayed, "msg_1")
        time.work(2 * HOUR)
    async with _opened(tmp_path, time) as file:
        time.work(TTL + HOUR + ORPHAN_TIMEOUT - 3)
        time.sleep(HOUR)
        outcome = await file.tasks.fail_orphaned(delayed, FAILURE, NOW)
        assert isinstance(outcome, NotOrphaned)
        time.work(3)
        assert isinstance(await file.tasks.fail_orphaned(delayed, FAILURE, NOW), Orphaned)


async def _count(file: Opened, table: str, rows: int) -> bool:
    ((found,),) = await file.rows(f"SELECT count(*) FROM {table}")  # noqa: S608
    return bool(found == rows)


async def test_an_attempt_of_a_task_that_expired_does_not_write_to_its_successor(
    tmp_path: Path, time: Time
) -> None:
    async with _opened(tmp_path, time) as file:
        attempt = await begun(file.tasks)
        time.work(TTL)
        await submit(file.tasks, task_id=attempt.task.id)
        with pytest.raises(LeaseLost):
            await file.tasks.append(attempt, [ContentAdded(NOW, "late")], LEASE)


async def test_what_has_ended_expires_by_the_time_of_day(tmp_path: Path, time: Time) -> None:
    async with _opened(tmp_path, time) as file:
        brief = await submit(file.tasks, replace(REQUEST, ttl=60))
        long, deleted = await submit(file.tasks), await submit(file.tasks)
        for task_id in (brief, long, deleted):
            await file.tasks.cancel(task_id, NOW)
        await file.tasks.delete(deleted)
    time.sleep(60)
    async with _opened(tmp_path, time) as file:
        with pytest.raises(DeletedTask):
            await file.tasks.get(brief)
        assert (await file.tasks.get(long)).id == long
        await until(lambda: _count(file, "tasks", 1))
    time.sleep(TTL)
    async with _opened(tmp_path, time) as file:
        with pytest.raises(UnknownTask):
            await file.tasks.get(long)
        for task_id in (brief, deleted):
            with pytest.raises(DeletedTask):
                await file.tasks.get(task_id)
    time.sleep(TOMBSTONE_TTL)
    async with _opened(tmp_path, time) as file:
        for table in ("tasks", "requests", "batches", "tombstones"):
            await until(partial(_count, file, table, 0))


async def test_a_clock_that_was_set_back_takes_nothing_away(tmp_path: Path, time: Time) -> None:
    async with _opened(tmp_path, time) as file:
        attempt = await begun(file.tasks)
        ended = await submit(file.tasks)
        await file.tasks.cancel(ended, NOW)
    time.wall -= 365 * 24 * HOUR
    async with _opened(tmp_path, time) as file:
        assert (await file.tasks.get(ended)).id == ended
        assert (await file.tasks.get(attempt.task.id)).counted_attempts == 0


STOPPED = 1.6
CHILD = f"""
import asyncio, sys, time
from pathlib import Path
import adapters.sqlite.clock
from application.errors import LeaseLost
from domain.failure import Failure
from tests.builders import claim, submit
from tests.integration.sqlite_bench import opened

adapters.sqlite.clock.LONGEST_GAP = 0.2

async def main():
    async with opened(Path(sys.argv[1]), ttl=1.5, orphan_timeout=1.5) as file:
        task_id = await submit(file.tasks)
        await claim(file.tasks, task_id, lease=1.5)
        last = time.monotonic()
        print("running", flush=True)
        while (now := time.monotonic()) - last < {STOPPED}:
            last = now
            await asyncio.sleep(0)
        print(type(await file.tasks.fail(task_id, Failure("c", "m", True), 1)).__name__)

asyncio.run(main())
"""


def test_a_process_that_is_stopped_by_a_signal_keeps_its_leases(tmp_path: Path) -> None:
    command = [sys.executable, "-c", CHILD, str(tmp_path / "longtask.db")]
    with subprocess.Popen(  # noqa: S603
        command, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "running\n"
        child.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WNOWAIT)
        sleep(STOPPED + 0.1)  # the time that is to pass
        child.send_signal(signal.SIGCONT)
        assert child.stdout.readline() == "Busy\n"
