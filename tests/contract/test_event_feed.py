"""What every EventFeed promises of what a TaskLog adds (application/ports.py)."""

import asyncio

import pytest

from application.errors import FeedClosed
from application.ports import Batch, Cursor, Gap, Subscription
from domain.events import ContentAdded, Event, StatusChanged, TaskStatus
from domain.task import Attempt
from tests.builders import LEASE, NOW, claim, submit
from tests.contract.stores import QUEUE_LIMIT, Store

TIMEOUT = 5.0
SILENCE = 0.05


async def _add(store: Store, attempt: Attempt, *texts: str) -> Attempt:
    return await store.tasks.append(attempt, [ContentAdded(NOW, text) for text in texts], LEASE)


async def _receive(live: Subscription, events: int) -> list[Batch]:
    """Batches until so many events have come."""
    batches: list[Batch] = []
    while sum(len(batch.events) for batch in batches) < events:
        received = await live.receive(TIMEOUT)
        assert received
        assert not isinstance(received, Gap)
        batches.extend(received)
    return batches


def _events(batches: list[Batch]) -> list[Event]:
    return [event for batch in batches for event in batch.events]


async def test_what_is_added_arrives_in_order_and_numbered(store: Store) -> None:
    task_id = await submit(store.tasks)
    async with store.feed.subscribe(task_id) as live:
        attempt = await claim(store.tasks, task_id)
        attempt = await _add(store, attempt, "a", "b")
        attempt = await _add(store, attempt, "c")
        batches = await _receive(live, 4)
    page = await store.tasks.read(task_id, 1, 100)
    assert _events(batches) == list(page.events)
    assert {batch.epoch for batch in batches} == {batch.epoch for batch in page.batches}
    seen, epoch = 1, page.before
    for batch in batches:
        assert batch.joins(epoch, seen)
        seen, epoch = batch.last, batch.epoch
    assert seen == page.length


async def test_any_text_arrives_as_it_was(store: Store) -> None:
    text = 'a,"b"\\\n\r\n\u2028\x85\x0b\x1d\u0000é🌊 data: x\n\n,'
    task_id = await submit(store.tasks)
    async with store.feed.subscribe(task_id) as live:
        attempt = await claim(store.tasks, task_id)
        await _add(store, attempt, text, "")
        batches = await _receive(live, 3)
    assert _events(batches)[1:] == [ContentAdded(NOW, text), ContentAdded(NOW, "")]


async def test_only_its_own_task_arrives(store: Store) -> None:
    mine, other = await submit(store.tasks), await submit(store.tasks)
    async with store.feed.subscribe(mine) as live:
        await claim(store.tasks, other)
        await claim(store.tasks, mine)
        batches = await _receive(live, 1)
        assert _events(batches) == [StatusChanged(NOW, TaskStatus.RUNNING, 1)]
        assert await live.receive(SILENCE) is None


async def test_every_subscriber_gets_everything_and_shares_it(store: Store) -> None:
    task_id = await submit(store.tasks)
    async with store.feed.subscribe(task_id) as one, store.feed.subscribe(task_id) as two:
        attempt = await claim(store.tasks, task_id)
        attempt = await _add(store, attempt, "a")
        first, second = await _receive(one, 2), await _receive(two, 2)
    assert all(mine is theirs for mine, theirs in zip(first, second, strict=True))


class Taker:
    """A subscriber's short way: it takes what comes as long as it is `open`."""

    def __init__(self, at: Batch) -> None:
        self.taken: list[Batch] = []
        self.open = True
        self.cursor = Cursor(at.epoch, at.last, self._take)

    def _take(self, batch: Batch) -> bool:
        if self.open:
            self.taken.append(batch)
        return self.open

    async def until(self, events: int) -> None:
        async with asyncio.timeout(TIMEOUT):
            while len(_events(self.taken)) < events:
                await asyncio.sleep(0.001)


async def test_what_goes_on_at_the_cursor_is_taken_past_the_queue(store: Store) -> None:
    task_id = await submit(store.tasks)
    async with store.feed.subscribe(task_id) as live:
        attempt = await claim(store.tasks, task_id)
        taker = Taker((await _receive(live, 1))[-1])
        waiting = asyncio.create_task(live.receive(TIMEOUT, taker.cursor))
        await asyncio.sleep(0)
        for text in "abc":
            attempt = await _add(store, attempt, text)
        await taker.until(3)
        assert _events(taker.taken) == [ContentAdded(NOW, text) for text in "abc"]
        assert not waiting.done()
        taker.open = False
        attempt = await _add(store, attempt, "d")
        received = await waiting
        assert received
        assert not isinstance(received, Gap)
        assert _events(list(received)) == [ContentAdded(NOW, "d")]
        assert received[0].joins(taker.cursor.epoch, taker.cursor.after)


async def test_a_silence_is_told_though_something_was_taken_before(store: Store) -> None:
    task_id = await submit(store.tasks)
    async with store.feed.subscribe(task_id) as live:
        attempt = await claim(store.tasks, task_id)
        taker = Taker((await _receive(live, 1))[-1])
        waiting = asyncio.create_task(live.receive(4 * SILENCE, taker.cursor))
        await asyncio.sleep(SILENCE)
        await _add(store, attempt, "a")
        assert await waiting is None
        assert _events(taker.taken) == [ContentAdded(NOW, "a")]


async def test_neither_the_end_nor_what_lies_elsewhere_is_taken(store: Store) -> None:
    task_id = await submit(store.tasks)
    async with store.feed.subscribe(task_id) as live:
        attempt = await claim(store.tasks, task_id)
        first = (await _receive(live, 1))[-1]
        taker = Taker(first)
        taker.cursor.after -= 1  # the subscriber stands elsewhere
        waiting = asyncio.create_task(live.receive(TIMEOUT, taker.cursor))
        await asyncio.sleep(0)
        await _add(store, attempt, "a")
        assert await waiting
        taker = Taker(first)
        taker.cursor.after += 1
        waiting = asyncio.create_task(live.receive(TIMEOUT, taker.cursor))
        await asyncio.sleep(0)
        await store.tasks.cancel(task_id, NOW)
        received = await waiting
        assert received
        assert not isinstance(received, Gap)
        assert received[-1].closes
        assert taker.taken == []


async def test_what_cannot_be_taken_is_received_and_harms_nobody_else(store: Store) -> None:
    def broken(_: Batch) -> bool:
        raise ValueError

    task_id = await submit(store.tasks)
    async with store.feed.subscribe(task_id) as one, store.feed.subscribe(task_id) as two:
        attempt = await claim(store.tasks, task_id)
        at = (await _receive(one, 1))[-1]
        await _receive(two, 1)
        cursor = Cursor(at.epoch, at.last, broken)
        waiting = [asyncio.create_task(each.receive(TIMEOUT, cursor)) for each in (one, two)]
        await asyncio.sleep(0)
        await _add(store, attempt, "a")
        assert all(await asyncio.gather(*waiting))
        assert cursor.after == at.last


async def test_a_subscriber_who_left_does_not_disturb_the_rest(store: Store) -> None:
    task_id = await submit(store.tasks)
    async with store.feed.subscribe(task_id) as stays:
        async with store.feed.subscribe(task_id):
            pass
        attempt = await claim(store.tasks, task_id)
        async with store.feed.subscribe(task_id) as late:
            attempt = await _add(store, attempt, "a")
            assert len(await _receive(late, 1)) == 1
        assert len(_events(await _receive(stays, 2))) == 2


async def test_silence_is_told(store: Store) -> None:
    task_id = await submit(store.tasks)
    async with store.feed.subscribe(task_id) as live:
        assert await live.receive(SILENCE) is None
        waiting = asyncio.create_task(live.receive(TIMEOUT))
        await claim(store.tasks, task_id)
        assert await waiting


async def test_one_who_falls_behind_gets_a_gap_and_goes_on(store: Store) -> None:
    task_id = await submit(store.tasks)
    attempt = await claim(store.tasks, task_id)
    async with store.feed.subscribe(task_id) as slow, store.feed.subscribe(task_id) as quick:
        for number in range(QUEUE_LIMIT * 3):
            attempt = await _add(store, attempt, str(number))
            await _receive(quick, 1)
        assert await slow.receive(TIMEOUT) == Gap()
        attempt = await _add(store, attempt, "after")
        batches = await _receive(slow, 1)
        assert _events(batches) == [ContentAdded(NOW, "after")]
        assert batches[0].first == 2 + QUEUE_LIMIT * 3 + 1


async def test_the_end_closes_the_log(store: Store) -> None:
    task_id = await submit(store.tasks)
    async with store.feed.subscribe(task_id) as live:
        await store.tasks.cancel(task_id, NOW)
        batches = await _receive(live, 2)
    assert batches[-1].closes


async def test_closing_ends_every_subscription(store: Store) -> None:
    task_id = await submit(store.tasks)
    async with store.feed.subscribe(task_id) as live:
        waiting = asyncio.create_task(live.receive(TIMEOUT))
        await asyncio.sleep(0)
        store.close_feed()
        with pytest.raises(FeedClosed):
            await waiting
        with pytest.raises(FeedClosed):
            await live.receive(TIMEOUT)
    async with store.feed.subscribe(task_id) as late:
        with pytest.raises(FeedClosed):
            await late.receive(TIMEOUT)
