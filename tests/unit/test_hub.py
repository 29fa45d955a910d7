"""The hub: write coalescing after each delivery, and what it tells its broker."""

import asyncio
import time

import pytest

from adapters.live import Broker, Hub, OwnerTopic, Topic
from adapters.live.coalescing import JOINED_LIMIT
from application.errors import StoreUnavailable
from application.ports import Batch
from domain.events import ContentAdded, Event, StatusChanged, TaskStatus
from domain.position import Position
from tests.doubles.readers import RecordingSubscriber, RecordingWatcher, events_of, subscribed
from tests.waiting import until

EPOCH = "e"


def _batch(first: int, *events: Event, epoch: str = EPOCH, before: str = EPOCH) -> Batch:
    return Batch(Position(before, first - 1), epoch, events)


def _text(first: int, text: str = "x") -> Batch:
    return _batch(first, ContentAdded(1, text))


class SlowSubscriber(RecordingSubscriber):
    """Takes a moment for each batch, as a thousand subscribers do."""

    def offer(self, batch: Batch) -> None:
        time.sleep(0.02)
        super().offer(batch)


async def _delivered(batches: list[Batch]) -> list[Batch]:
    """What a slow subscriber is offered of batches that are published in one turn."""
    hub, slow = Hub(), SlowSubscriber()
    await hub.subscribe("t", slow)
    for batch in batches:
        hub.publish("t", batch)
    await until(lambda: bool(slow.batches) and slow.batches[-1].end == batches[-1].end)
    return slow.batches


async def test_the_first_batch_goes_at_once_and_those_of_the_pause_together() -> None:
    first, *rest = await _delivered([_text(number) for number in range(1, 21)])
    assert first.end.offset == 1
    assert len(rest) < 19
    position = first.end
    for batch in rest:
        assert batch.after == position
        position = batch.end
    assert position.offset == 20


async def test_only_batches_that_follow_each_other_in_one_epoch_are_joined() -> None:
    opened = _batch(3, StatusChanged(1, TaskStatus.PENDING, 1), epoch="f", before=EPOCH)
    after = _batch(4, ContentAdded(1, "y"), epoch="f", before="f")
    offered = await _delivered([_text(1), _text(2), opened, after])
    for batch in offered:
        assert (batch.end.epoch == "f") == (batch.first >= 3)
    assert events_of(offered)[2:] == [*opened.events, *after.events]


async def test_a_joined_batch_is_bounded() -> None:
    text = "x" * (JOINED_LIMIT // 3)
    offered = await _delivered([_text(number, text) for number in range(1, 20)])
    assert max(batch.size for batch in offered) <= JOINED_LIMIT
    assert offered[-1].end.offset == 19


async def test_a_subscriber_that_fails_is_sent_to_the_log_and_the_others_get_the_batch() -> None:
    class Broken(RecordingSubscriber):
        def offer(self, batch: Batch) -> None:
            raise ValueError

    hub, broken, sound = Hub(), Broken(), RecordingSubscriber()
    await hub.subscribe("t", broken)
    await hub.subscribe("t", sound)
    hub.publish("t", _text(1))
    assert broken.misses == 1
    assert len(sound.batches) == 1


class RecordingBroker(Broker):
    def __init__(self) -> None:
        self.told: list[str] = []
        self.confirms = True

    def attach(self, hub: Hub) -> None: ...

    def open(self, topic: Topic) -> None:
        self.told.append(f"open {topic}")

    async def opened(self, topic: Topic) -> None:
        await asyncio.sleep(0)
        if not self.confirms:
            raise StoreUnavailable("no confirmation")

    def close(self, topic: Topic) -> None:
        self.told.append(f"close {topic}")

    async def aclose(self) -> None: ...


async def test_a_broker_is_told_of_the_first_and_the_last_subscriber_of_a_channel() -> None:
    broker = RecordingBroker()
    hub = Hub(broker)
    async with subscribed(hub, "a"), subscribed(hub, "b"):
        async with subscribed(hub, "a"):
            pass
        assert broker.told == ["open a", "open b"]
    assert broker.told == ["open a", "open b", "close b", "close a"]


async def test_a_subscription_that_does_not_come_about_leaves_no_channel() -> None:
    broker = RecordingBroker()
    hub, subscriber = Hub(broker), RecordingSubscriber()
    broker.confirms = False
    with pytest.raises(StoreUnavailable):
        await hub.subscribe("a", subscriber)
    assert broker.told == ["open a", "close a"]
    hub.unsubscribe("a", subscriber)  # as one that does not know
    assert broker.told == ["open a", "close a"]


async def test_a_channel_is_closed_for_its_own_subscribers_only() -> None:
    hub = Hub()
    async with subscribed(hub, "a") as closed, subscribed(hub, "b") as open_:
        hub.close_channel("a")
        assert closed.is_closed
        assert not open_.is_closed


async def test_a_subscriber_that_fails_to_be_told_does_not_keep_the_others_from_it() -> None:
    class Broken(RecordingSubscriber):
        def missed(self) -> None:
            raise ValueError

        def closed(self) -> None:
            raise ValueError

    hub, sound = Hub(), RecordingSubscriber()
    await hub.subscribe("t", Broken())
    await hub.subscribe("t", sound)
    hub.missed("t")
    hub.close()
    assert sound.misses == 1
    assert sound.is_closed


MINE = OwnerTopic("mine")


async def test_a_broker_is_told_of_the_first_and_the_last_watcher_of_an_owner() -> None:
    broker = RecordingBroker()
    hub, first, second = Hub(broker), RecordingWatcher(), RecordingWatcher()
    await hub.watch("mine", first)
    await hub.watch("mine", second)
    hub.unwatch("mine", first)
    assert broker.told == [f"open {MINE}"]
    for _ in range(2):
        hub.unwatch("mine", second)
    assert broker.told == [f"open {MINE}", f"close {MINE}"]
    broker.confirms = False
    with pytest.raises(StoreUnavailable):
        await hub.watch("mine", first)
    assert broker.told[2:] == [f"open {MINE}", f"close {MINE}"]
    hub.notify("mine", "t")
    assert first.noticed == []


async def test_an_owner_has_a_channel_of_its_own_also_if_a_task_is_named_alike() -> None:
    hub, watcher = Hub(), RecordingWatcher()
    await hub.watch("mine", watcher)
    async with subscribed(hub, "mine") as subscriber:
        hub.missed("mine")
        hub.close_channel("mine")
        assert (subscriber.misses, watcher.misses) == (1, 0)
        hub.missed(MINE)
        hub.close_channel(MINE)
    assert (subscriber.misses, watcher.misses) == (1, 1)
    assert watcher.is_closed


async def test_a_watcher_that_fails_does_not_keep_the_others_from_being_told() -> None:
    class Broken(RecordingWatcher):
        def changed(self, task_id: str) -> None:
            raise ValueError

    hub, sound = Hub(), RecordingWatcher()
    await hub.watch(None, Broken())
    await hub.watch(None, sound)
    hub.notify(None, "t")
    assert sound.noticed == ["t"]
