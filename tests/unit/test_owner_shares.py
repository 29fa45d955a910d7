"""The share of an owner, held while a delivery is handled, where a test sets the time."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from adapters.memory import MemoryLimiter
from application import owner_shares
from application.outcome import Ack, OverShare, Retry
from application.owner_shares import LATEST, SOONEST, OwnerShares
from domain.events import TaskStatus
from domain.flow_control import Share, Shares
from tests.builders import delivery_of
from tests.unit.run_task_bench import FINISHED, OWNER, TASK_ID, Bench
from tests.waiting import within

LEASE = 30.0


class CountingLimiter(MemoryLimiter):
    """Knows how often each holder has asked for a slot."""

    def __init__(self, elapsed: Callable[[], float]) -> None:
        super().__init__(elapsed)
        self._asked: Counter[str] = Counter()

    async def acquire(self, counter: str, holder: str, limit: int, ttl: float) -> bool:
        self._asked[holder] += 1
        return await super().acquire(counter, holder, limit, ttl)

    async def asked_often(self, holder: str) -> None:
        async with asyncio.timeout(within(5)):
            while self._asked[holder] < 3:
                await asyncio.sleep(0)


class Instances:
    """Two over one store. The clock of their time and of the store's slots is `seconds`."""

    def __init__(self, *, queue_holds_shares: bool = True, **limits: int) -> None:
        self.seconds = 1_000.0
        self.stopping = asyncio.Event()
        self.limiter = CountingLimiter(lambda: self.seconds)
        shares = Shares(Share(**limits))
        self.one, self.two = (
            OwnerShares(self.limiter, shares, self, LEASE, queue_holds_shares=queue_holds_shares)
            for _ in range(2)
        )

    def now(self) -> int:
        return int(1000 * self.seconds)

    @asynccontextmanager
    async def handled(
        self,
        shares: OwnerShares,
        task_id: str,
        *,
        own_flow: bool = True,
        owner: str | None = OWNER,
    ) -> AsyncIterator[float | None]:
        delivery = delivery_of(task_id, created_at=1_000_000, owner=owner, own_flow=own_flow)
        async with shares.held(delivery, self.stopping) as postponed:
            yield postponed


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owner_shares, "WAIT", 0.001)


async def test_a_share_holds_over_all_instances() -> None:
    both = Instances(parallelism=2)
    async with both.handled(both.one, "task_1_a") as first:
        async with both.handled(both.two, "task_1_b", own_flow=False) as second:
            async with both.handled(both.two, "task_1_c") as third:
                assert (first, second, third) == (None, None, SOONEST)
            async with both.handled(both.one, "task_1_d", owner="bob") as others:
                assert others is None
            async with both.handled(both.one, "task_1_a") as again:
                assert again is None, "of two deliveries of one task, one waits for the other"
        async with both.handled(both.two, "task_1_c") as third:
            assert third is None


async def test_a_task_that_the_queue_holds_back_by_the_share_waits_here() -> None:
    both = Instances(parallelism=1)
    async with both.handled(both.one, "task_1_a"):
        waiting = asyncio.create_task(_through(both, "task_1_b"))
        await both.limiter.asked_often("task_1_b")
        assert not waiting.done()
    async with asyncio.timeout(within(5)):
        assert await waiting is None


async def test_none_waits_for_longer_than_a_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes up room that the tasks of others need."""
    both, passed = Instances(parallelism=1), 0.0
    monkeypatch.setattr(owner_shares, "monotonic", lambda: passed)
    async with both.handled(both.one, "task_1_a"):
        waiting = asyncio.create_task(_through(both, "task_1_b"))
        await both.limiter.asked_often("task_1_b")
        passed = LEASE
        async with asyncio.timeout(within(5)):
            assert await waiting == SOONEST


async def test_one_that_waits_ends_as_its_process_stops() -> None:
    both = Instances(parallelism=1)
    async with both.handled(both.one, "task_1_a"):
        waiting = asyncio.create_task(_through(both, "task_1_b"))
        await both.limiter.asked_often("task_1_b")
        both.stopping.set()
        async with asyncio.timeout(within(5)):
            assert await waiting is None
    held = await both.limiter.holders("share:key:alice", 10)
    assert held == []


async def test_the_slots_of_a_process_that_died_lapse_and_those_of_a_living_one_do_not() -> None:
    both = Instances(parallelism=2)
    async with AsyncExitStack() as living:
        await living.enter_async_context(both.handled(both.one, "task_1_a"))
        dead = both.handled(both.two, "task_1_b")
        await dead.__aenter__()
        for _ in range(4):
            both.seconds += LEASE / 3
            await both.one.renew()
        async with both.handled(both.one, "task_1_c") as third:
            assert third is None
            async with both.handled(both.one, "task_1_d") as fourth:
                assert fourth is not None
        await dead.__aexit__(None, None, None)


@pytest.mark.parametrize(
    ("age", "postponed"), [(0, SOONEST), (60, 30.0), (3_600, LATEST), (-60, SOONEST)]
)
async def test_the_older_a_task_is_the_longer_it_is_postponed(age: int, postponed: float) -> None:
    both = Instances(parallelism=1)
    async with both.handled(both.one, "task_1_a"):
        both.seconds = 1_000.0 + age
        await both.one.renew()
        async with both.handled(both.two, "task_1_b") as told:
            assert told == postponed


async def test_a_rate_counts_all_tasks_and_holds_those_with_keys_of_their_own() -> None:
    """The queue keeps the rate of the others, by periods of its own."""
    both = Instances(rate=2, period=60)
    assert await _through(both, "task_1_a") is None
    assert await _through(both, "task_1_b", own_flow=True) is None
    assert await _through(both, "task_1_c", own_flow=True) == 60.0
    assert await _through(both, "task_1_d") is None
    both.seconds += 60.0
    assert await _through(both, "task_1_c", own_flow=True) is None


async def test_a_rate_holds_all_tasks_where_each_instance_has_a_queue_of_its_own() -> None:
    both = Instances(rate=1, period=60, queue_holds_shares=False)
    assert await _through(both, "task_1_a") is None
    assert await _through(both, "task_1_b") == 60.0


async def test_who_is_over_the_rate_gives_its_slot_back() -> None:
    both = Instances(parallelism=1, rate=1, period=60)
    assert await _through(both, "task_1_a", own_flow=True) is None
    assert await _through(both, "task_1_b", own_flow=True) == 60.0
    assert await both.limiter.holders("share:key:alice", 10) == []


async def test_a_delivery_over_the_share_costs_no_attempt() -> None:
    both = Instances(parallelism=1)
    bench = Bench(shares=both.one)
    async with both.handled(both.two, "task_1_other"):
        outcome = await bench.deliver(own_flow=True)
        assert outcome == OverShare(LATEST), "the task is as old as the epoch"
    running = bench.deliver(own_flow=True)
    bench.model.say(FINISHED)
    async with asyncio.timeout(within(5)):
        assert await running == Ack()
    task = await bench.tasks.get(TASK_ID)
    assert (task.status, task.attempt) == (TaskStatus.COMPLETED, 1)
    assert await both.limiter.holders("share:key:alice", 10) == []


async def test_a_stop_returns_what_waits_to_the_queue() -> None:
    both = Instances(parallelism=1)
    bench = Bench(shares=both.one)
    async with both.handled(both.two, "task_1_other"):
        waiting = bench.deliver()
        await both.limiter.asked_often(TASK_ID)
        bench.run.stop()
        async with asyncio.timeout(within(5)):
            assert await waiting == Retry()


async def _through(both: Instances, task_id: str, *, own_flow: bool = False) -> float | None:
    async with both.handled(both.two, task_id, own_flow=own_flow) as postponed:
        return postponed
