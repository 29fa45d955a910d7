"""Tasks that `longtask migrate` moves, and how two logs are compared."""

from application.ports import Page, TaskLog
from domain.answer import Answer
from domain.attempt import Attempt
from domain.continuation import Opening
from domain.events import ContentAdded, Event
from domain.failure import Failure
from domain.position import Position
from domain.request import TaskRequest
from tests.builders import LEASE, NOW, REQUEST, claim, submit

FAILURE = Failure("the model said no", "model_refused", retryable=False)


async def completed(
    tasks: TaskLog, events: list[Event], request: TaskRequest = REQUEST, *, lost: bool = False
) -> str:
    task_id = await submit(tasks, request)
    await tasks.note_message(task_id, f"msg_{task_id}")
    attempt = await claim(tasks, task_id)
    if lost:
        attempt = await tasks.append(attempt, [ContentAdded(NOW, "lost")], LEASE)
        await tasks.commit(attempt, attempt.task.requeue(NOW, "model_unavailable"))
        attempt = await claim(tasks, task_id)
    for first in range(0, len(events), 50):
        attempt = await tasks.append(attempt, events[first : first + 50], LEASE)
    done = attempt.task.complete(
        NOW, answer=Answer("Hi"), finish_reason="stop", model="m", usage=None
    )
    await tasks.commit(attempt, done)
    return task_id


async def failed(tasks: TaskLog) -> str:
    task_id = await submit(tasks)
    await tasks.fail(task_id, FAILURE, NOW)
    return task_id


async def cancelled(tasks: TaskLog) -> str:
    """One whose upstream keeps the answer, and does not know that the task has ended."""
    task_id = await submit(tasks)
    attempt = await tasks.claim(task_id, LEASE, NOW, lambda _: Opening(keeper="upstream_1"))
    assert isinstance(attempt, Attempt)
    attempt = await tasks.note_response(attempt, "resp_1")
    await tasks.append(attempt, [ContentAdded(NOW, "said")], LEASE, 7)
    await tasks.cancel(task_id, NOW)
    return task_id


async def assert_the_same(ours: TaskLog, theirs: TaskLog, task_id: str) -> None:
    assert await theirs.get(task_id) == await ours.get(task_id)
    assert await theirs.request(task_id) == await ours.request(task_id)
    after, length = 0, 1
    while after < length:
        page, same = [await log.read(task_id, after, 700) for log in (ours, theirs)]
        assert (same.length, same.after) == (page.length, page.after)
        told, as_told = positions(page), positions(same)
        both = min(len(told), len(as_told))  # the pages may end at different events
        assert both
        assert as_told[:both] == told[:both]
        after, length = after + both, page.length


def positions(page: Page) -> list[tuple[Position, Event]]:
    """The events, each with the position that a reader resumes from."""
    return [(each.end, each.events[0]) for batch in page.batches for each in batch.singles()]
