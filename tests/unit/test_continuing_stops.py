"""What stops, restarts and ends do to an answer that an upstream keeps."""

import asyncio

import pytest

from application.manage_task import CancelTask
from application.outcome import Ack, Retry
from application.reap import RequeueInterrupted
from entrypoints.identity import SystemClock
from tests.unit.continuing_bench import LEASE, OWNER, TASK_ID, Bench, whole
from tests.waiting import until


async def said(bench: Bench, event: int) -> None:
    """All pieces before this event are in the log."""

    async def is_said() -> bool:
        if TASK_ID not in bench.memory._entries:
            return False
        task = await bench.record()
        return task.continuation is not None and task.continuation.cursor == event - 1

    await until(is_said)


async def test_a_process_that_stops_hands_over_at_once() -> None:
    bench = Bench(grace=3600.0)
    bench.keeping.holds_after = 3
    run = bench.process()
    running = bench.delivering(run)
    await said(bench, 3)
    run.stop()
    assert await running == Retry()
    assert bench.keeping.connections == 0
    task = await bench.record()
    assert (task.counted_attempts, task.interruptions) == (0, 0)
    bench.keeping.holds_after = None
    assert await bench.deliver() == Ack()
    await whole(bench)
    assert len(bench.keeping.by_key) == 1


async def test_a_process_that_stops_waits_for_the_id_of_an_answer() -> None:
    bench = Bench(grace=3600.0)
    bench.keeping.identifies = asyncio.Event()
    run = bench.process()
    running = bench.delivering(run)
    await until(lambda: bench.keeping.connections)
    run.stop()
    await asyncio.wait({running}, timeout=0.05)
    assert not running.done()
    bench.keeping.identifies.set()
    assert await running == Retry()
    continuation = (await bench.record()).continuation
    assert continuation is not None
    assert continuation.response_id == "resp_0"


async def test_a_file_that_is_opened_again_counts_no_attempt_that_added_something() -> None:
    bench = Bench()
    bench.keeping.holds_after = 3
    running = bench.delivering()
    await said(bench, 3)
    await RequeueInterrupted(bench.tasks, SystemClock())([TASK_ID])
    task = await bench.record()
    assert (task.counted_attempts, task.interruptions) == (0, 0)
    running.cancel()
    await asyncio.wait({running})


@pytest.mark.parametrize("identified", [False, True])
async def test_a_task_that_is_cancelled_is_cancelled_upstream(identified: bool) -> None:
    bench = Bench()
    bench.keeping.holds_after = 2
    if not identified:
        bench.keeping.identifies = asyncio.Event()
    run = bench.process()
    running = bench.delivering(run)
    if identified:
        await said(bench, 2)
    else:
        await until(lambda: bench.keeping.connections)
    cancel = CancelTask(bench.tasks, bench.queue, SystemClock(), bench.after_end)
    await cancel(TASK_ID, OWNER)
    if not identified:
        await asyncio.wait({running}, timeout=0.05)  # by now it knows of the end
        assert (bench.keeping.by_key, bench.keeping.connections) == ({}, 1)
        bench.keeping.identifies.set()
    assert await running == Ack()
    assert [each.released for each in bench.keeping.by_key.values()] == [False]
    assert bench.keeping.connections == 0


async def test_a_worker_that_lost_its_lease_only_closes_its_connection() -> None:
    bench = Bench()
    bench.keeping.holds_after = 3
    first = bench.delivering()
    await said(bench, 3)
    bench.seconds += LEASE + 1
    second = bench.delivering()
    await until(lambda: bench.keeping.streams == 2)
    bench.keeping.unheld.set()
    assert await first == Ack()
    assert await second == Ack()
    await whole(bench)
    assert bench.keeping.streams == 2
    assert bench.keeping.releases == [True]
