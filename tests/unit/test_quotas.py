"""Quotas on the memory store, where a test can stop between two steps."""

import asyncio
from collections.abc import Sequence

import pytest

from adapters.live import Hub
from adapters.memory import MemoryLimiter, MemoryTaskLog
from application.accounts import Accounts, Caller, Limits, network
from application.errors import OverLimit, UnreadableTask
from domain.task import Task
from tests.builders import REQUEST, quotas_of

ALICE = Caller("alice", "192.0.2.1")


class Bench:
    def __init__(self, **limits: int) -> None:
        self.now = 1_000.0
        self.tasks = MemoryTaskLog(Hub(), 60.0)
        self.limiter = MemoryLimiter(lambda: self.now)
        accounts = Accounts(Limits(**limits), Limits())
        self.quotas = quotas_of(self.limiter, self.tasks, accounts)


async def test_a_start_without_a_record_yet_keeps_its_slot() -> None:
    """Between its admission and its record the task must not count as ended."""
    bench = Bench(running=1)
    await bench.quotas.start(ALICE, "task_1_a")
    with pytest.raises(OverLimit):
        await bench.quotas.start(ALICE, "task_1_b")
    await bench.tasks.create(Task.submit("task_1_a", REQUEST, 1, "alice"))
    with pytest.raises(OverLimit):
        await bench.quotas.start(ALICE, "task_1_b")


async def test_the_slot_of_a_start_that_died_is_free_after_a_minute() -> None:
    bench = Bench(running=1)
    await bench.quotas.start(ALICE, "task_1_a")
    bench.now += 61.0
    await bench.quotas.start(ALICE, "task_1_b")


async def test_a_start_over_one_limit_uses_nothing_of_the_others() -> None:
    bench = Bench(running=5, starts=1)
    await bench.quotas.start(ALICE, "task_1_a")
    with pytest.raises(OverLimit) as refused:
        await bench.quotas.start(ALICE, "task_1_b")
    assert refused.value.status.policy == "starts-per-key"
    assert [each.holder for each in await bench.limiter.holders("running:key:alice", 10)] == [
        "task_1_a"
    ]


async def test_an_open_stream_keeps_its_slot_and_one_that_never_began_loses_it() -> None:
    bench = Bench(streams=2)
    read, left = [await bench.quotas.stream(ALICE) for _ in range(2)]
    bench.quotas.enter(read)
    for _ in range(4):
        bench.now += 20.0
        await bench.quotas.keep_streams()
    third = await bench.quotas.stream(ALICE)
    with pytest.raises(OverLimit):
        await bench.quotas.stream(ALICE)
    assert len({read.holder, left.holder, third.holder}) == 3
    await bench.quotas.leave(read)
    await bench.quotas.stream(ALICE)


async def test_a_stream_that_leaves_while_slots_are_renewed_holds_none() -> None:
    bench = Bench(streams=2)
    leaves, stays = [await bench.quotas.stream(ALICE) for _ in range(2)]
    bench.quotas.enter(leaves)
    bench.quotas.enter(stays)
    renew = bench.limiter.renew

    async def renew_late(counter: str, holders: Sequence[str], ttl: float) -> None:
        await bench.quotas.leave(leaves)
        await renew(counter, holders, ttl)

    bench.limiter.renew = renew_late  # type: ignore[method-assign]
    await bench.quotas.keep_streams()
    held = await bench.limiter.holders("streams:key:alice", 10)
    assert [each.holder for each in held] == [stays.holder]


async def test_without_limits_nothing_is_counted() -> None:
    bench = Bench()
    await asyncio.gather(*(bench.quotas.start(ALICE, f"task_1_{n}") for n in range(100)))
    assert not bench.limiter._used
    assert not bench.limiter._held


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("", ""),
        ("a name", "a name"),
    ],
)
def test_addresses_that_one_client_can_have_count_as_one(address: str, client: str) -> None:
    assert network(address) == client


async def test_the_slot_of_a_task_that_cannot_be_read_stays_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A newer instance runs it. The slots of other tasks are released all the same."""
    bench = Bench(running=2)
    for task_id in ("task_1_a", "task_1_b"):
        await bench.quotas.start(ALICE, task_id)
        await bench.tasks.create(Task.submit(task_id, REQUEST, 1, "alice"))
    await bench.tasks.cancel("task_1_b", 1)
    get = bench.tasks.get

    async def read(task_id: str) -> Task:
        if task_id == "task_1_a":
            raise UnreadableTask(task_id, "of another version")
        return await get(task_id)

    monkeypatch.setattr(bench.tasks, "get", read)
    await bench.quotas.start(ALICE, "task_1_c")
    with pytest.raises(OverLimit):
        await bench.quotas.start(ALICE, "task_1_d")
