"""What every TaskLog promises of reading a log in pages (application/ports/)."""

import asyncio

from application.ports import PAGE_SIZE
from domain.events import ContentAdded, Event, text_size
from domain.failure import Failure
from domain.position import START, Position
from tests.builders import LEASE, NOW, claim, submit
from tests.contract.stores import Store, epoch_of

FAILURE = Failure("model_error", "It failed.", True)


async def test_a_log_is_read_in_pages(store: Store) -> None:
    task_id = await submit(store.tasks)
    attempt = await claim(store.tasks, task_id)
    await store.tasks.append(attempt, [ContentAdded(NOW, str(n)) for n in range(10)], LEASE)
    whole = await store.tasks.read(task_id, 0, 100)
    assert (whole.after, whole.length, len(whole.events)) == (START, 12, 12)
    page = await store.tasks.read(task_id, 5, 3)
    assert (page.after.offset, page.length, page.caught_up) == (5, 12, False)
    assert page.events == whole.events[5:8]
    assert page.after.epoch == page.end.epoch == whole.end.epoch
    beyond = await store.tasks.read(task_id, 12, 3)
    assert (beyond.after, beyond.length, beyond.events) == (whole.end, 12, ())
    assert beyond.caught_up
    far = await store.tasks.read(task_id, 99, 3)
    assert (far.events, far.after, far.caught_up) == ((), START, False)


async def test_every_page_tells_an_event_the_same_epoch(store: Store) -> None:
    """However the pages are cut: its own, and that of the event before it."""
    task_id = await submit(store.tasks)
    for _ in range(3):
        attempt = await claim(store.tasks, task_id)
        attempt = await store.tasks.append(attempt, [ContentAdded(NOW, "a")] * 2, LEASE)
        await store.tasks.commit(attempt, attempt.task.requeue(NOW, "lost"))
    whole = await store.tasks.read(task_id, 0, 100)
    epochs = [batch.end.epoch for batch in whole.batches for _ in batch.events]
    assert len(epochs) == whole.length == 13
    positions = [START, *map(Position, epochs, range(1, 14)), START]
    cuts = [(after, limit) for after in range(15) for limit in range(1, 15)]
    pages = await asyncio.gather(*(store.tasks.read(task_id, *cut) for cut in cuts))
    for (after, limit), page in zip(cuts, pages, strict=True):
        assert page.after == positions[after]
        offset = after
        for batch in page.batches:
            assert batch.after == positions[offset]
            assert {batch.end.epoch} == set(epochs[offset : batch.end.offset])
            offset = batch.end.offset
        assert offset == max(after, min(after + limit, 13))
        assert page.caught_up == (after + limit >= 13 and after <= 13)


async def test_two_logs_have_two_epochs(store: Store) -> None:
    first, second = await submit(store.tasks), await submit(store.tasks)
    epochs = {await epoch_of(store.tasks, each) for each in (first, second)}
    assert len(epochs) == 2
    assert all(epoch.isalnum() for epoch in epochs)


async def test_a_page_of_large_events_is_short_and_never_empty(store: Store) -> None:
    task_id = await submit(store.tasks)
    attempt = await claim(store.tasks, task_id)
    large = "x" * (PAGE_SIZE // 4)
    attempt = await store.tasks.append(attempt, [ContentAdded(NOW, large)] * 9, LEASE)
    attempt = await store.tasks.append(attempt, [ContentAdded(NOW, large * 8)], LEASE)
    seen: list[Event] = []
    sizes = []
    while True:
        page = await store.tasks.read(task_id, len(seen), 1_000)
        seen.extend(page.events)
        sizes.append(len(page.events))
        if len(seen) == page.length:
            break
    assert len(seen) == 12
    assert max(sizes) <= 2 + 4
    assert min(sizes) >= 1
    assert sum(text_size(event) for event in seen) == 17 * len(large)
