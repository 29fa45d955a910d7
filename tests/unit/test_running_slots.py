"""The slots of running tasks: released by what ends a task, else found in turn."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from adapters.live import Hub
from adapters.memory import MemoryLimiter, MemoryTaskLog
from application.accounts import Accounts, Caller, Limits
from application.errors import OverLimit, StoreUnavailable
from application.ports import Busy, TaskLog
from application.quotas import SLOTS_CHECKED, START_TIMEOUT, Quotas
from application.reap import FailOrphanedTasks
from application.running_slots import SlotReleasingLog
from domain.answer import Answer
from domain.attempt import Attempt
from domain.failure import Failure
from domain.task import Task
from tests.builders import REQUEST, meter_of

TASK_ID = "task_1_a"
ALICE = Caller("alice", "192.0.2.1")
ACCOUNTS = ("running:key:alice", "running:address:192.0.2.1")
FAILURE = Failure("f", "f", True)
ORPHAN_TIMEOUT = 100.0
DAY = 86_400.0


class CountingLimiter(MemoryLimiter):
    def __init__(self, elapsed: Callable[[], float]) -> None:
        super().__init__(elapsed)
        self.released: list[tuple[str, str]] = []
        self.away = False

    async def release(self, account: str, holder: str) -> None:
        if self.away:
            raise StoreUnavailable("away")
        self.released.append((account, holder))
        await super().release(account, holder)


class Bench:
    def __init__(self, running: int | None = 1, *, releasing: bool = True) -> None:
        self.seconds = 0.0
        self.plain = MemoryTaskLog(Hub(), 1_000 * DAY, ORPHAN_TIMEOUT, elapsed=lambda: self.seconds)
        self.limiter = CountingLimiter(lambda: self.seconds)
        accounts = Accounts(Limits(running=running), Limits(running=running))
        self.tasks: TaskLog = self.plain
        if releasing:
            self.tasks = SlotReleasingLog(self.plain, self.limiter, accounts)
        orphans = FailOrphanedTasks(self.tasks, self, ORPHAN_TIMEOUT)
        self.quotas = Quotas(self.limiter, self.tasks, orphans, accounts, meter_of(accounts))

    def now(self) -> int:
        return int(self.seconds * 1000)

    async def start(self, task_id: str = TASK_ID) -> Task:
        await self.quotas.start(ALICE, task_id)
        origin = self.quotas.origin(ALICE)
        task = Task.submit(task_id, REQUEST, self.now(), ALICE.owner, origin)
        return await self.tasks.create(task)

    async def attempt(self) -> Attempt:
        attempt = await self.tasks.claim(TASK_ID, 30.0, self.now())
        assert isinstance(attempt, Attempt)
        return attempt

    async def held(self) -> set[str]:
        return {
            slot.holder for each in ACCOUNTS for slot in await self.limiter.holders(each, 10_000)
        }


async def _completed(bench: Bench) -> None:
    attempt = await bench.attempt()
    done = attempt.task.complete(1, answer=Answer(""), finish_reason="stop", model="m", usage=None)
    await bench.tasks.commit(attempt, done)


async def _failed(bench: Bench) -> None:
    attempt = await bench.attempt()
    await bench.tasks.commit(attempt, attempt.task.fail(1, FAILURE))


async def _cancelled(bench: Bench) -> None:
    await bench.attempt()
    await bench.tasks.cancel(TASK_ID, 1)


async def _failed_without_attempt(bench: Bench) -> None:
    await bench.tasks.fail(TASK_ID, FAILURE, 1)


async def _withdrawn(bench: Bench) -> None:
    assert await bench.tasks.fail_unqueued(TASK_ID, FAILURE, 1) is not None


async def _orphaned(bench: Bench) -> None:
    bench.seconds += ORPHAN_TIMEOUT + 1
    await bench.tasks.fail_orphaned(TASK_ID, FAILURE, 1)


@pytest.mark.parametrize(
    "end", [_completed, _failed, _cancelled, _failed_without_attempt, _withdrawn, _orphaned]
)
async def test_what_ends_a_task_releases_its_slots_once(
    end: Callable[[Bench], Awaitable[None]],
) -> None:
    bench = Bench()
    await bench.start()
    assert await bench.held() == {TASK_ID}
    await end(bench)
    assert await bench.held() == set()
    assert sorted(bench.limiter.released) == sorted((each, TASK_ID) for each in ACCOUNTS)


async def test_what_does_not_end_a_task_keeps_its_slots() -> None:
    bench = Bench()
    await bench.start()
    attempt = await bench.attempt()
    assert isinstance(await bench.tasks.fail(TASK_ID, FAILURE, 1), Busy)
    assert await bench.tasks.fail_unqueued(TASK_ID, FAILURE, 1) is None
    await bench.tasks.fail_orphaned(TASK_ID, FAILURE, 1)
    await bench.tasks.commit(attempt, attempt.task.requeue(1, "model_error"))
    assert await bench.held() == {TASK_ID}


async def test_tasks_that_are_delayed_have_slots_of_their_own() -> None:
    bench = Bench()
    request, now = replace(REQUEST, delay=60), bench.now()
    delayed = [each.replace("running", "delayed") for each in ACCOUNTS]
    await bench.start("task_1_now")
    for task_id in ("task_1_a", "task_1_b"):
        await bench.quotas.start(ALICE, task_id, delayed=True)
        origin = bench.quotas.origin(ALICE)
        await bench.tasks.create(Task.submit(task_id, request, now, "alice", origin))
        with pytest.raises(OverLimit) as refused:
            await bench.quotas.start(ALICE, "task_1_c", delayed=True)
        assert refused.value.status.policy == "delayed-per-key"
        await bench.tasks.cancel(task_id, now)
        assert bench.limiter.released[-2:] == [(each, task_id) for each in delayed]
    await bench.quotas.start(ALICE, "task_1_d", delayed=True)
    await bench.quotas.release(ALICE, "task_1_d", delayed=True)
    await bench.quotas.start(ALICE, "task_1_e", delayed=True)
    assert await bench.held() == {"task_1_now"}


async def test_without_limits_nothing_is_released() -> None:
    bench = Bench(running=None)
    assert (await bench.start()).origin is None
    await _completed(bench)
    assert bench.limiter.released == []


async def test_a_slot_that_could_not_be_released_is_found_by_the_next_start() -> None:
    bench = Bench()
    await bench.start()
    bench.limiter.away = True
    await _completed(bench)
    bench.limiter.away = False
    assert await bench.held() == {TASK_ID}
    await bench.start("task_1_b")
    assert await bench.held() == {"task_1_b"}


async def test_all_slots_are_checked_in_turn() -> None:
    """However long the others run: the one that ended elsewhere is found after a few starts."""
    bench = Bench(running=20, releasing=False)
    for number in range(20):
        bench.seconds += 1
        await bench.start(f"task_1_{number}")
    await bench.plain.cancel("task_1_19", 1)
    refused = 0
    while True:
        bench.seconds += 1
        try:
            await bench.start("task_1_new")
            break
        except OverLimit:
            refused += 1
    assert refused == len(ACCOUNTS) * (19 // SLOTS_CHECKED)
    assert "task_1_19" not in await bench.held()
    assert len(await bench.held()) == 20


async def test_a_slot_lapses_thirty_days_after_its_task_was_last_checked() -> None:
    bench = Bench(running=1, releasing=False)
    await bench.start()
    await bench.plain.claim(TASK_ID, 100 * DAY, bench.now())
    bench.seconds += 29 * DAY
    with pytest.raises(OverLimit):
        await bench.start("task_1_b")
    bench.seconds += 29 * DAY
    with pytest.raises(OverLimit):
        await bench.start("task_1_b")
    bench.seconds += 31 * DAY
    await bench.start("task_1_b")


async def test_checking_does_not_renew_the_slot_of_a_start_that_died() -> None:
    bench = Bench(running=1)
    await bench.quotas.start(ALICE, "task_1_died")
    for _ in range(int(START_TIMEOUT / 20)):
        with pytest.raises(OverLimit):
            await bench.start()
        bench.seconds += 20.0
    await bench.start()
