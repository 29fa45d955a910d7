"""A crowd rests after a delivery, and gets what was published meanwhile as one batch."""

import asyncio
import time

from application.fan_out import JOINED_LIMIT, FanOut
from application.ports import Batch, Cursor
from domain.events import ContentAdded, Event, StatusChanged, TaskStatus

EPOCH = "e"


def _batch(first: int, *events: Event, epoch: str = EPOCH, before: str = EPOCH) -> Batch:
    return Batch(epoch, first, events, before)


def _text(first: int, text: str = "x") -> Batch:
    return _batch(first, ContentAdded(1, text))


class Slow:
    """Takes a moment for each batch, as a crowd does."""

    def __init__(self) -> None:
        self.taken: list[Batch] = []

    def take(self, batch: Batch) -> bool:
        time.sleep(0.02)
        self.taken.append(batch)
        return True

    async def until(self, last: int) -> None:
        async with asyncio.timeout(5):
            while not self.taken or self.taken[-1].last < last:
                await asyncio.sleep(0.001)


async def _delivered(batches: list[Batch]) -> list[Batch]:
    """To one who stands at the very beginning, all published in one turn."""
    feed, slow = FanOut(), Slow()
    async with feed.subscribe("t") as live:
        cursor = Cursor(EPOCH, 0, slow.take)
        waiting = asyncio.create_task(live.receive(5.0, cursor))
        await asyncio.sleep(0)
        for batch in batches:
            feed.publish("t", batch)
        await slow.until(batches[-1].last)
        waiting.cancel()
    return slow.taken


async def test_the_first_goes_at_once_and_the_rest_together() -> None:
    first, *rest = await _delivered([_text(number) for number in range(1, 21)])
    assert first.last == 1
    assert len(rest) < 19
    seen = 1
    for batch in rest:
        assert batch.joins(EPOCH, seen)
        seen = batch.last
    assert seen == 20


async def test_only_what_goes_on_is_joined() -> None:
    opened = _batch(3, StatusChanged(1, TaskStatus.PENDING, 1), epoch="f", before=EPOCH)
    after = _batch(4, ContentAdded(1, "y"), epoch="f", before="f")
    taken = await _delivered([_text(1), _text(2), opened, after])
    for batch in taken:
        assert (batch.epoch == "f") == (batch.first >= 3)
    assert [event for batch in taken for event in batch.events][2:] == [
        *opened.events,
        *after.events,
    ]


async def test_a_joined_batch_is_bounded() -> None:
    text = "x" * (JOINED_LIMIT // 3)
    taken = await _delivered([_text(number, text) for number in range(1, 20)])
    assert max(batch.size for batch in taken) <= JOINED_LIMIT
    assert taken[-1].last == 19
