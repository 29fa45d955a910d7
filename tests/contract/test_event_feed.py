"""What every EventFeed promises of what a TaskLog adds (application/ports/event_feed.py)."""

import asyncio
import secrets

import pytest

from domain.attempt import Attempt
from domain.events import ContentAdded, StatusChanged, TaskStatus
from domain.position import START
from tests.builders import LEASE, NOW, claim, follow_task, submit
from tests.contract.stores import Store
from tests.doubles.readers import events_of, started, subscribed
from tests.waiting import until


async def _add(store: Store, attempt: Attempt, *texts: str) -> Attempt:
    return await store.tasks.append(attempt, [ContentAdded(NOW, text) for text in texts], LEASE)


async def test_what_is_added_is_offered_in_order_and_with_its_position(store: Store) -> None:
    task_id = await submit(store.tasks)
    async with subscribed(store.feed, task_id) as subscriber:
        attempt = await claim(store.tasks, task_id)
        attempt = await _add(store, attempt, "a", "b")
        attempt = await _add(store, attempt, "c")
        batches = await subscriber.receive(4)
    page = await store.tasks.read(task_id, 1, 100)
    assert events_of(batches) == list(page.events)
    position = page.after
    for batch in batches:
        assert batch.after == position
        position = batch.end
    assert position == page.end
    assert position.offset == page.length


async def test_the_first_batch_of_a_log_follows_the_start(store: Store) -> None:
    task_id = f"task_1_{secrets.token_hex(6)}"
    async with subscribed(store.feed, task_id) as subscriber:
        await submit(store.tasks, task_id=task_id)
        (batch,) = await subscriber.receive(1)
    assert batch.after == START


async def test_any_text_arrives_as_it_was(store: Store) -> None:
    text = 'a,"b"\\\n\r\n\u2028\x85\x0b\x1d\u0000é🌊 data: x\n\n,'
    task_id = await submit(store.tasks)
    async with subscribed(store.feed, task_id) as subscriber:
        attempt = await claim(store.tasks, task_id)
        await _add(store, attempt, text, "")
        batches = await subscriber.receive(3)
    assert events_of(batches)[1:] == [ContentAdded(NOW, text), ContentAdded(NOW, "")]


async def test_only_events_of_the_task_arrive(store: Store) -> None:
    mine, other = await submit(store.tasks), await submit(store.tasks)
    async with subscribed(store.feed, mine) as subscriber, subscribed(store.feed, other) as last:
        await claim(store.tasks, other)
        attempt = await claim(store.tasks, mine)
        await _add(store, attempt, "a")
        assert events_of(await subscriber.receive(2)) == [
            StatusChanged(NOW, TaskStatus.RUNNING, 1),
            ContentAdded(NOW, "a"),
        ]
        await store.tasks.cancel(other, NOW)
        await last.receive(3)
        assert subscriber.batches == []


async def test_all_subscribers_are_offered_the_same_batches(store: Store) -> None:
    task_id = await submit(store.tasks)
    async with subscribed(store.feed, task_id) as one, subscribed(store.feed, task_id) as two:
        attempt = await claim(store.tasks, task_id)
        attempt = await _add(store, attempt, "a")
        first, second = await one.receive(2), await two.receive(2)
    assert all(mine is theirs for mine, theirs in zip(first, second, strict=True))


async def test_a_subscriber_that_leaves_does_not_disturb_the_others(store: Store) -> None:
    task_id = await submit(store.tasks)
    async with subscribed(store.feed, task_id) as stays:
        async with subscribed(store.feed, task_id) as left:
            pass
        attempt = await claim(store.tasks, task_id)
        async with subscribed(store.feed, task_id) as late:
            attempt = await _add(store, attempt, "a")
            await until(lambda: ContentAdded(NOW, "a") in events_of(late.batches))
        assert len(events_of(await stays.receive(2))) == 2
    assert left.batches == []


async def test_the_end_closes_the_log(store: Store) -> None:
    task_id = await submit(store.tasks)
    async with subscribed(store.feed, task_id) as subscriber:
        await store.tasks.cancel(task_id, NOW)
        batches = await subscriber.receive(2)
    assert batches[-1].closes
    assert not any(batch.closes for batch in batches[:-1])


async def test_a_reader_that_was_slow_goes_on_from_the_log_and_is_live_again(store: Store) -> None:
    attempt = await claim(store.tasks, await submit(store.tasks))
    follow = follow_task(store.tasks, store.feed, waiting_batches=4)
    slow, sink = await started(follow, attempt.task.id)
    quick, quick_sink = await started(follow, attempt.task.id)
    await sink.until(2)
    sink.taking.clear()
    for number in range(12):
        attempt = await _add(store, attempt, str(number))
        await quick_sink.until(2 + number + 1)
    sink.taking.set()
    await sink.until(14)
    await _add(store, attempt, "after")
    await sink.until(15)
    await quick_sink.until(15)
    assert sink.events == quick_sink.events
    slow.close()
    quick.close()


async def test_closing_ends_every_subscription_now_and_later(store: Store) -> None:
    task_id = await submit(store.tasks)
    async with subscribed(store.feed, task_id) as subscriber:
        await asyncio.sleep(0)
        store.close_feed()
        await until(lambda: subscriber.is_closed)
    async with subscribed(store.feed, task_id) as late:
        await until(lambda: late.is_closed)


async def test_closing_ends_a_reader(store: Store) -> None:
    task_id = await submit(store.tasks)
    _, sink = await started(follow_task(store.tasks, store.feed), task_id)
    await sink.until(1)
    store.close_feed()
    await sink.until_ended()


@pytest.mark.parametrize("times", [1, 2])
async def test_unsubscribing_is_safe_to_repeat(store: Store, times: int) -> None:
    task_id = await submit(store.tasks)
    async with subscribed(store.feed, task_id) as subscriber:
        for _ in range(times):
            store.feed.unsubscribe(task_id, subscriber)
        await claim(store.tasks, task_id)
        async with subscribed(store.feed, task_id) as other:
            await store.tasks.cancel(task_id, NOW)
            await other.receive(2)
        assert subscriber.batches == []
