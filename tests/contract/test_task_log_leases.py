"""What every TaskLog promises of leases: a task has one attempt at a time (application/ports)."""

import asyncio

from application.ports import Busy, Ended
from domain.attempt import Attempt
from domain.events import (
    ContentAdded,
    StatusChanged,
    TaskErrored,
    TaskStatus,
    fold,
)
from domain.failure import Failure
from tests.builders import LEASE, NOW, begun, claim, submit
from tests.contract.stores import Store, assert_shut_out, events_of
from tests.waiting import until

FAILURE = Failure("model_error", "It failed.", True)


async def test_a_record_says_when_its_next_attempt_may_begin(store: Store) -> None:
    """Until that attempt has begun."""
    attempt = await begun(store.tasks)
    task_id = attempt.task.id
    change = attempt.task.requeue(NOW, "rate_limited", next_attempt_at=NOW + 9_000)
    await store.tasks.commit(attempt, change)
    assert (await store.tasks.get(task_id)).next_attempt_at == NOW + 9_000
    lost = (await events_of(store.tasks, task_id))[-1]
    assert lost == StatusChanged(NOW, TaskStatus.PENDING, 1, "rate_limited", False, NOW + 9_000)
    await claim(store.tasks, task_id)
    assert (await store.tasks.get(task_id)).next_attempt_at is None


async def test_a_live_attempt_keeps_others_out(store: Store) -> None:
    task_id = await submit(store.tasks)
    await claim(store.tasks, task_id)
    busy = await store.tasks.claim(task_id, LEASE, NOW)
    assert isinstance(busy, Busy)
    assert 0 < busy.lease_left <= LEASE
    assert len(await events_of(store.tasks, task_id)) == 2


async def test_many_claims_at_once_give_one_attempt(store: Store) -> None:
    task_id = await submit(store.tasks)
    claims = await asyncio.gather(*[store.tasks.claim(task_id, LEASE, NOW) for _ in range(8)])
    assert sum(isinstance(each, Attempt) for each in claims) == 1
    assert sum(isinstance(each, Busy) for each in claims) == 7


async def test_a_lapsed_lease_is_taken_over_and_the_log_says_so(store: Store) -> None:
    task_id = await submit(store.tasks)
    first = await claim(store.tasks, task_id, lease=0.05)
    await store.tasks.append(first, [ContentAdded(NOW, "lost")], 0.05)
    taken: list[Attempt] = []

    async def take_over() -> bool:
        claimed = await store.tasks.claim(task_id, LEASE, NOW)
        if isinstance(claimed, Attempt):
            taken.append(claimed)
        return bool(taken)

    await until(take_over)
    second = taken[0]
    assert second.number == 2
    log = await events_of(store.tasks, task_id)
    assert log[3:] == [
        StatusChanged(NOW, TaskStatus.PENDING, 1, "lease_lapsed"),
        StatusChanged(NOW, TaskStatus.RUNNING, 2),
    ]
    await assert_shut_out(store.tasks, first)
    await store.tasks.append(second, [ContentAdded(NOW, "kept")], LEASE)
    assert fold(await events_of(store.tasks, task_id)).answer.text == "kept"


async def test_renewing_holds_the_lease(store: Store) -> None:
    task_id = await submit(store.tasks)
    attempt = await claim(store.tasks, task_id, lease=0.05)
    await store.tasks.renew(attempt, LEASE)
    await asyncio.sleep(0.1)  # past the first lease: nothing tells of a lease that held
    assert isinstance(await store.tasks.claim(task_id, LEASE, NOW), Busy)


async def test_a_lapsed_lease_alone_does_not_stop_the_writer(store: Store) -> None:
    task_id = await submit(store.tasks)
    attempt = await claim(store.tasks, task_id, lease=0.01)
    await asyncio.sleep(0.05)
    await store.tasks.append(attempt, [ContentAdded(NOW, "still here")], LEASE)
    assert isinstance(await store.tasks.claim(task_id, LEASE, NOW), Busy)


async def test_a_requeued_task_can_be_claimed_at_once(store: Store) -> None:
    task_id = await submit(store.tasks)
    first = await claim(store.tasks, task_id)
    await store.tasks.commit(first, first.task.requeue(NOW, "model_error"))
    assert (await store.tasks.get(task_id)).status is TaskStatus.PENDING
    await assert_shut_out(store.tasks, first)
    assert (await claim(store.tasks, task_id)).number == 2


async def test_which_attempts_count_is_kept(store: Store) -> None:
    task_id = await submit(store.tasks)
    first = await claim(store.tasks, task_id)
    stopped = first.task.requeue(NOW, "shutting_down", counted=False)
    await store.tasks.commit(first, stopped)
    second = await claim(store.tasks, task_id)
    assert (second.number, second.task.counted_attempts, second.task.interruptions) == (2, 1, 1)
    assert await store.tasks.get(task_id) == second.task


async def test_an_ended_task_is_not_claimed(store: Store) -> None:
    task_id = await submit(store.tasks)
    attempt = await claim(store.tasks, task_id)
    await store.tasks.commit(attempt, attempt.task.fail(NOW, FAILURE))
    ended = await store.tasks.claim(task_id, LEASE, NOW)
    assert isinstance(ended, Ended)
    assert ended.task.failure == FAILURE
    assert (await events_of(store.tasks, task_id))[-1] == TaskErrored(
        NOW, "It failed.", "model_error", True
    )
