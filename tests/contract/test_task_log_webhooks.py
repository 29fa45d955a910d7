"""What every TaskLog keeps of the webhooks of a task."""

import asyncio
import secrets
from dataclasses import replace
from functools import partial

import pytest

from application.errors import DeletedTask, UnknownTask
from domain.answer import Answer
from domain.task import Task
from domain.webhook import GivenUp, Note, Published, Tried, Webhook, WebhookStatus
from tests.builders import NOW, REQUEST, claim
from tests.contract.stores import Store, events_of, in_time

OWN = Webhook("https://example.com/own")
SERVICES = Webhook("https://example.com/all", service=True)


async def _waiting(store: Store) -> Task:
    task_id = f"task_1_{secrets.token_hex(6)}"
    return await store.tasks.create(
        Task.submit(task_id, REQUEST, NOW, f"owner_{task_id}", webhooks=(OWN, SERVICES))
    )


async def _ended(store: Store) -> Task:
    task = await _waiting(store)
    await store.tasks.note_message(task.id, "msg_1")
    attempt = await claim(store.tasks, task.id)
    await store.tasks.commit(
        attempt,
        attempt.task.complete(
            NOW, answer=Answer(), finish_reason="stop", model="m", usage=None, valid=None
        ),
    )
    ended = await store.tasks.get(task.id)
    assert ended.webhooks == attempt.task.webhooks == task.webhooks == (OWN, SERVICES)
    return ended


async def test_a_note_changes_that_webhook_and_nothing_else(store: Store) -> None:
    ended = await _ended(store)
    events = await events_of(store.tasks, ended.id)
    (place,) = await store.index.ended(ended.owner, 0, 10)
    notes: list[Note] = [Published(), Tried(None), Tried(503), Tried(204), GivenUp(), Tried(500)]
    expected = OWN
    for note in notes:
        expected = expected.noted(note)
        await store.tasks.note_webhook(ended.id, 0, note)
        task = await store.tasks.get(ended.id)
        assert task == replace(ended, webhooks=(expected, SERVICES))
        assert (await store.index.records([ended.id])) == [task]
    assert expected.status is WebhookStatus.DELIVERED
    assert (expected.attempts, expected.last_status, expected.published) == (4, 500, True)
    await store.tasks.note_webhook(ended.id, 1, GivenUp())
    task = await store.tasks.get(ended.id)
    assert task.webhooks[1].status is WebhookStatus.FAILED
    assert task.message_id == "msg_1"
    assert await events_of(store.tasks, ended.id) == events
    assert list(await store.index.ended(ended.owner, 0, 10)) == [place]


async def test_of_notes_at_the_same_time_each_counts(store: Store) -> None:
    ended = await _ended(store)
    await asyncio.gather(
        *(store.tasks.note_webhook(ended.id, number, Tried(500)) for number in [0, 1] * 10)
    )
    task = await store.tasks.get(ended.id)
    assert [each.attempts for each in task.webhooks] == [10, 10]


async def test_only_of_a_task_that_has_ended_and_has_that_webhook(store: Store) -> None:
    waiting = await _waiting(store)
    await store.tasks.note_webhook(waiting.id, 0, Published())
    assert await store.tasks.get(waiting.id) == waiting
    ended = await _ended(store)
    await store.tasks.note_webhook(ended.id, 2, Published())
    assert await store.tasks.get(ended.id) == ended
    await store.tasks.delete(ended.id)
    with pytest.raises(DeletedTask):
        await store.tasks.note_webhook(ended.id, 0, Published())
    with pytest.raises(UnknownTask):
        await store.tasks.note_webhook("task_1_none", 0, Published())


async def test_a_note_lets_no_task_live_longer(forgetful_store: Store) -> None:
    ended = await in_time(partial(_ended, forgetful_store))
    async with asyncio.timeout(20):
        while await _noted(forgetful_store, ended.id):
            await asyncio.sleep(0.05)


async def _noted(store: Store, task_id: str) -> bool:
    try:
        await store.tasks.note_webhook(task_id, 0, Tried(500))
    except UnknownTask:
        return False
    return True
