"""Webhooks: whom a task tells of its end, and what publishes that, wherever a process dies."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from adapters.live import Hub
from adapters.qstash.message import decode, encode, encode_announcement
from application.attempt import AttemptBounds
from application.deadlines import GUARD_MARGIN, EndOverdueTask
from application.errors import (
    QueueUnavailable,
)
from application.manage_task import CancelTask
from application.outcome import Ack, Retry
from application.ports import Announcement, Finished, Guard
from application.reap import FailOrphanedTasks, HandleExhaustedDeliveries
from application.webhooks import WebhookRules, announcement_of, publish_webhooks
from domain.answer import Answer
from domain.errors import InvalidRequest
from domain.events import TaskStatus
from domain.failure import Failure
from tests.builders import NOW, REQUEST, after_end, delivery_of, meter_of, run_task
from tests.doubles.model import DrivenModel
from tests.signing import delivered_task
from tests.unit.webhook_bench import (
    ALICES,
    ORPHAN_TIMEOUT,
    RULES,
    SERVICES,
    TASK_ID,
    URL,
    WEBHOOKS,
    Bench,
    Clock,
    Died,
    Mortal,
)
from tests.waiting import until

# Who is told, and what


def test_a_webhook_needs_a_secret_of_its_caller() -> None:
    asking = replace(REQUEST, webhook_url=URL)
    RULES.check(asking, "alice")
    RULES.check(REQUEST, "bob")
    with pytest.raises(InvalidRequest, match="needs a secret for this caller"):
        RULES.check(asking, "bob")
    assert RULES.of(asking) == WEBHOOKS
    assert RULES.of(REQUEST) == WEBHOOKS[1:]
    assert WebhookRules().of(REQUEST) == ()


async def test_each_receiver_is_told_with_its_own_secret_and_id() -> None:
    bench = Bench()
    task = await bench.ended(WEBHOOKS, metadata={"order": "7"})
    assert await publish_webhooks(bench.tasks, bench.queue, task)
    for announcement, _ in bench.queue.announcements:
        assert await bench.send(announcement) == Ack()
    own, services = (json.loads(each.body) for each in bench.receiver.messages)
    assert own == {
        "id": "evt_task_1_a",
        "object": "event",
        "created_at": NOW // 1000,
        "type": "response.cancelled",
        "data": {
            "id": "resp_task_1_a",
            "taskId": "task_1_a",
            "status": "cancelled",
            "metadata": {"order": "7"},
        },
    }
    assert services == {**own, "id": "evt_task_1_a_service"}
    assert [each.id for each in bench.receiver.messages] == [own["id"], services["id"]]
    assert bench.receiver.secrets == [[ALICES], [SERVICES]]


@pytest.mark.parametrize(("reason", "kind"), [("stop", "completed"), ("length", "incomplete")])
async def test_an_answer_that_was_cut_off_is_incomplete(reason: str, kind: str) -> None:
    task = (await Bench().submit()).begin(1).task
    end = {"answer": Answer(), "model": "m", "usage": None}
    completed = task.complete(NOW, finish_reason=reason, **end).task  # type: ignore[arg-type]
    assert announcement_of(completed, 0).event["type"] == f"response.{kind}"
    failed = task.fail(NOW, Failure("model_error", "It failed.", True)).task
    assert announcement_of(failed, 0).event["type"] == "response.failed"
    assert announcement_of(failed, 0).event["data"]["error"] == {
        "code": "model_error",
        "message": "It failed.",
    }


async def test_the_queue_holds_announcements_and_the_webhooks_of_a_task() -> None:
    task = await Bench().ended(WEBHOOKS, ttl=60)
    for number in (0, 1):
        announcement = announcement_of(task, number).next_round(2).once_more()
        assert decode(encode_announcement(announcement), 9) == announcement
    for limit in (100_000, 1):
        delivery = delivered_task(encode(task, REQUEST, 2, limit))
        assert delivery.submitted().task.webhooks == WEBHOOKS


def test_a_caller_without_a_name_has_the_secret_of_the_service() -> None:
    RULES.check(replace(REQUEST, webhook_url=URL), None)
    announcement = Announcement(TASK_ID, 0, URL, False, None, NOW, {"id": "evt_task_1_a"})
    assert RULES.secrets_for(announcement) == [SERVICES]


# Publishing


async def test_the_guard_of_a_task_with_a_webhook_goes_on_until_it_has_ended() -> None:
    bench = Bench()
    end = after_end(bench.tasks, bench.queue, bench.clock)
    orphans = FailOrphanedTasks(bench.tasks, bench.clock, ORPHAN_TIMEOUT, end)
    guard = EndOverdueTask(
        bench.tasks, Hub(), bench.queue, bench.clock, orphans, end, ORPHAN_TIMEOUT
    )
    await bench.submit()
    bench.clock.seconds = ORPHAN_TIMEOUT - 1
    assert await guard(Guard(TASK_ID)) == Ack()
    assert bench.queue.delays == [ORPHAN_TIMEOUT + GUARD_MARGIN]
    bench.clock.seconds = ORPHAN_TIMEOUT + 1
    bench.queue.error = QueueUnavailable("away")
    assert await guard(Guard(TASK_ID, 1)) == Retry()
    assert (await bench.tasks.get(TASK_ID)).status is TaskStatus.FAILED
    bench.queue.error = None
    assert await guard(Guard(TASK_ID, 1)) == Ack()
    assert (await bench.webhook()).published
    assert bench.queue.guards == [Guard(TASK_ID, 1)]


async def test_a_read_publishes_what_a_process_that_died_has_not() -> None:
    bench = Bench()
    end = after_end(bench.tasks, bench.queue, bench.clock)
    orphans = FailOrphanedTasks(bench.tasks, bench.clock, ORPHAN_TIMEOUT, end)
    ended = await bench.ended()
    for _ in range(3):
        await orphans(ended)
    await orphans.each([ended])

    async def published() -> bool:
        return (await bench.webhook()).published

    await until(published)
    assert len(bench.queue.announcements) == 1
    await orphans(await bench.tasks.get(TASK_ID))
    assert len(bench.queue.announcements) == 1


async def _cancels(tasks: Any, queue: Any, clock: Clock) -> object:
    return await CancelTask(tasks, queue, clock, after_end(tasks, queue, clock))(TASK_ID, "alice")


async def _runs(tasks: Any, queue: Any, clock: Clock) -> object:
    model = DrivenModel()
    model.say("Said", Finished("stop", "m", None))
    bounds = AttemptBounds(30.0, 60.0, 60.0, 1_000, 0.0)
    end = after_end(tasks, queue, clock)
    run = run_task(tasks, Hub(), model, clock, meter_of(), end, bounds)
    return await run(delivery_of(TASK_ID, created_at=NOW, owner="alice"))


async def _exhausts(tasks: Any, queue: Any, clock: Clock) -> object:
    delivery = delivery_of(TASK_ID, created_at=NOW, max_attempts=0)
    end = after_end(tasks, queue, clock)
    return await HandleExhaustedDeliveries(tasks, Hub(), queue, clock, end)(delivery, "msg_0")


async def _guards(tasks: Any, queue: Any, clock: Clock) -> object:
    clock.seconds = ORPHAN_TIMEOUT + 1
    orphans = FailOrphanedTasks(tasks, clock, ORPHAN_TIMEOUT)
    end = after_end(tasks, queue, clock)
    return await EndOverdueTask(tasks, Hub(), queue, clock, orphans, end)(Guard(TASK_ID))


@pytest.mark.parametrize("ends", [_runs, _cancels, _exhausts, _guards])
async def test_wherever_the_process_dies_the_receiver_is_told_with_one_id(
    ends: Callable[[Any, Any, Clock], Awaitable[object]],
) -> None:
    dies_at = 0
    while True:
        bench, steps = Bench(), list[str]()
        await bench.submit()
        await bench.tasks.note_message(TASK_ID, "msg_1")
        tasks, queue = (Mortal(each, steps, dies_at) for each in (bench.tasks, bench.queue))
        died = False
        try:
            await ends(tasks, queue, bench.clock)
        except (Died, BaseExceptionGroup):  # a task group says so in its own way
            died = True
        assert bench.queue.withdrawn == [] or bench.queue.announcements, (
            "withdrawn but not published"
        )
        # What is still in the queue is delivered: the guard, if nothing else.
        await _guards(bench.tasks, bench.queue, bench.clock)
        assert bench.queue.announcements, f"lost at step {dies_at}"
        assert (
            len(
                {encode_announcement(announcement) for announcement, _ in bench.queue.announcements}
            )
            == 1
        )
        for announcement, _ in bench.queue.announcements:
            assert await bench.send(announcement) == Ack()
        assert len(bench.receiver.messages) == 1
        if not died:
            break
        dies_at += 1
    assert dies_at >= 8, "not every step was tried"
