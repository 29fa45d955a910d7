"""One announcement of a webhook: the calls of its receiver, and what is left to the queue."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from adapters.live import Hub
from adapters.memory import MemoryTaskLog
from application.errors import (
    QueueUnavailable,
    StoreUnavailable,
    TooManyWebhooks,
    UnknownTask,
    WebhookRefused,
    WebhookUnreachable,
)
from application.outcome import Ack, Overloaded, Retry
from application.send_webhook import GIVING_UP, PAUSES, UNCALLED_PAUSES, SendWebhook
from application.webhooks import WebhookRules, announcement_of, publish_webhooks
from domain.task import Task
from domain.webhook import Published, WebhookStatus
from tests.builders import NOW
from tests.unit.webhook_bench import (
    RULES,
    TASK_ID,
    Bench,
    Died,
    Mortal,
)


async def test_a_receiver_that_fails_is_called_for_72_hours_with_one_id() -> None:
    bench = Bench()
    await publish_webhooks(bench.tasks, bench.queue, await bench.ended())
    answers: list[int | Exception] = [500, 302, WebhookUnreachable("no response"), 410]
    answers.append(WebhookRefused("a private address"))
    calls: list[float] = []
    while bench.queue.announcements:
        ((announcement, delay),) = bench.queue.announcements
        bench.queue.announcements.clear()
        bench.clock.seconds += delay
        calls.append(bench.clock.seconds)
        bench.receiver.answer = answers[announcement.round % len(answers)]
        assert await bench.send(announcement) == Ack()
        webhook = await bench.webhook()
        assert webhook.attempts == len(calls)
        assert webhook.last_status == {0: 500, 1: 302, 3: 410}.get(
            announcement.round % len(answers)
        )
        ended = not bench.queue.announcements
        assert webhook.status is (WebhookStatus.FAILED if ended else WebhookStatus.PENDING)
    assert [round(b - a) for a, b in itertools.pairwise(calls)][:8] == list(PAUSES)
    assert calls[-1] == GIVING_UP
    assert len(calls) == 11, "each is a message of QStash"
    assert {each.id for each in bench.receiver.messages} == {"evt_task_1_a"}
    stamps = [each.timestamp for each in bench.receiver.messages]
    assert stamps == [NOW // 1000 + int(seconds) for seconds in calls], "signed anew each time"
    assert await bench.send(announcement) == Ack()
    assert len(bench.receiver.messages) == 11


async def test_one_that_has_answered_is_not_called_again() -> None:
    bench = Bench()
    announcement = announcement_of(await bench.ended(), 0)
    bench.receiver.answer = 500
    assert await bench.send(announcement) == Ack()
    bench.receiver.answer = 200
    following = announcement.next_round(1)
    assert await bench.send(following) == Ack()
    for late in (announcement, following, following.next_round(2)):
        assert await bench.send(late) == Ack()
        await bench.send.exhausted(late)
    assert len(bench.receiver.messages) == 2
    assert len(bench.queue.announcements) == 1
    webhook = await bench.webhook()
    assert (webhook.status, webhook.attempts) == (WebhookStatus.DELIVERED, 2)


async def test_what_this_service_fails_to_do_is_left_to_the_queue() -> None:
    bench = Bench()
    announcement = announcement_of(await bench.ended(), 0)
    bench.receiver.answer = TooManyWebhooks("full")
    assert isinstance(await bench.send(announcement), Overloaded)
    bench.receiver.answer, bench.queue.error = 500, QueueUnavailable("away")
    for _ in range(3):
        assert await bench.send(announcement) == Retry()
    assert (await bench.webhook()).attempts == 1, "what failed is not the call"
    assert await bench.send.exhausted(announcement) == Retry()
    bench.queue.error = None
    assert await bench.send.exhausted(announcement) == Ack()
    assert bench.queue.announcements == [(announcement.next_round(1), PAUSES[0])]


async def _until_it_is_settled(bench: Bench, room: Callable[[int], bool]) -> list[float]:
    """Handle the announcements of a receiver that fails, and return when it is called, in seconds.
    A delivery that finds no room is the last one. `room`: whether there is some for the nth."""
    announcement, calls, number = announcement_of(await bench.ended(), 0), list[float](), 0
    queued = [(announcement, 0.0)]
    while queued:
        ((announcement, delay),) = queued
        bench.queue.announcements.clear()
        bench.clock.seconds += delay
        number += 1
        if room(number):
            bench.receiver.answer = 500
            calls.append(bench.clock.seconds)
            assert await bench.send(announcement) == Ack()
        else:
            bench.receiver.answer = TooManyWebhooks("full")
            assert isinstance(await bench.send(announcement), Overloaded)
            await bench.send.exhausted(announcement)
            await bench.send.exhausted(announcement)  # the callback is delivered twice
            for repeat in bench.queue.announcements[1:]:
                assert repeat == bench.queue.announcements.pop(0)  # one message of the queue
        queued = list(bench.queue.announcements)
    return calls


async def test_no_round_is_used_up_without_a_call() -> None:
    bench = Bench()
    calls = await _until_it_is_settled(bench, lambda number: number > 3 and number % 3 > 0)
    assert calls[0] == 5 + 300 + 1_800
    pauses = [round(b - a) for a, b in itertools.pairwise(calls)]
    # Each second call finds no room at first, and is made five seconds later.
    assert pauses[:7] == [5, 305, 1_800, 7_205, 18_000, 36_005, 50_400]
    webhook = await bench.webhook()
    assert (webhook.status, webhook.attempts) == (WebhookStatus.FAILED, len(calls))


async def test_the_record_says_that_no_call_could_be_made_in_72_hours() -> None:
    bench = Bench()
    assert await _until_it_is_settled(bench, lambda _: False) == []
    webhook = await bench.webhook()
    assert (webhook.status, webhook.attempts, webhook.last_status) == (
        WebhookStatus.FAILED,
        0,
        None,
    )
    assert bench.clock.seconds == GIVING_UP


async def test_those_that_find_no_room_do_not_come_again_all_at_once() -> None:
    bench = Bench()
    announcement = announcement_of(await bench.ended(), 0)
    bench.receiver.answer = TooManyWebhooks("full")
    pauses = list[float]()
    for _ in range(200):
        outcome = await bench.send(announcement)
        assert isinstance(outcome, Overloaded)
        pauses.append(outcome.retry_after)
    assert 5 <= min(pauses) < 15
    assert 50 < max(pauses) <= 60


async def test_a_secret_that_is_gone_uses_up_no_call() -> None:
    """The operator may set it again."""
    bench = Bench()
    announcement = announcement_of(await bench.ended(), 0)
    forgetful = SendWebhook(bench.tasks, bench.queue, bench.receiver, bench.clock, WebhookRules())
    assert await forgetful(announcement) == Ack()
    assert (bench.receiver.messages, (await bench.webhook()).attempts) == ([], 0)
    ((again, pause),) = bench.queue.announcements
    assert (again, pause) == (announcement.once_more(), UNCALLED_PAUSES[0])
    assert await bench.send(again) == Ack()
    assert (await bench.webhook()).status is WebhookStatus.DELIVERED


async def test_a_deleted_task_is_told_of_no_more_but_one_that_has_expired_is() -> None:
    bench = Bench()
    deleted = announcement_of(await bench.ended(), 0)
    await bench.tasks.delete(TASK_ID)
    assert await bench.send(deleted) == Ack()
    await bench.send.exhausted(deleted)
    assert (bench.receiver.messages, bench.queue.announcements) == ([], [])
    a_day = 86_400
    for ttl, delay in itertools.product((60, None), repeat=2):
        bench = Bench(a_day)
        expired = announcement_of(await bench.ended(ttl=ttl, delay=delay), 0)
        bench.clock.seconds = (ttl or a_day) + 1
        with pytest.raises(UnknownTask):
            await bench.tasks.get(TASK_ID)
        assert await bench.send(expired) == Ack()
        assert len(bench.receiver.messages) == 1


async def test_wherever_a_process_that_sends_dies_the_id_is_the_same() -> None:
    for dies_at in range(12):
        bench, steps = Bench(), list[str]()
        ended = await bench.ended()
        await bench.tasks.note_webhook(TASK_ID, 0, Published())
        announcements = [announcement_of(ended, 0)]
        bench.receiver.answer = 500
        tasks, queue, sender = (
            Mortal(each, steps, dies_at) for each in (bench.tasks, bench.queue, bench.receiver)
        )
        dying = SendWebhook(tasks, queue, sender, bench.clock, RULES)
        try:
            await dying(announcements[0])
        except Died:
            await bench.send(announcements[0])  # the queue delivers it again
        bench.receiver.answer = 204
        assert bench.queue.announcements
        for announcement, _ in bench.queue.announcements:
            await bench.send(announcement)
        assert {each.id for each in bench.receiver.messages} == {"evt_task_1_a"}
        assert (await bench.webhook()).status is WebhookStatus.DELIVERED
        if len(steps) < dies_at:
            return
    raise AssertionError("not every step was tried")


async def test_a_store_that_is_away_does_not_lose_a_delivered_webhook() -> None:
    """It may be told twice, with one id."""
    bench = Bench()
    announcement = announcement_of(await bench.ended(), 0)

    class Away(MemoryTaskLog):
        async def note_webhook(self, *_: Any) -> None:
            raise StoreUnavailable("away")

    away = Away(Hub(), 1e6)
    away._entries = bench.tasks._entries
    away._elapsed = bench.tasks._elapsed
    sending = SendWebhook(away, bench.queue, bench.receiver, bench.clock, RULES)
    assert await sending(announcement) == Retry()
    assert await bench.send(announcement) == Ack()
    assert [each.id for each in bench.receiver.messages] == ["evt_task_1_a"] * 2


async def test_a_store_that_is_away_for_longer_than_the_queue_retries_loses_no_webhook() -> None:
    bench = Bench()
    announcement = announcement_of(await bench.ended(), 0)

    class Away(MemoryTaskLog):
        async def get(self, task_id: str) -> Task:
            raise StoreUnavailable("away")

    sending = SendWebhook(Away(Hub(), 1e6), bench.queue, bench.receiver, bench.clock, RULES)
    for number in range(20):
        bench.queue.announcements.clear()
        assert await sending(announcement) == Retry()
        assert await sending.exhausted(announcement) == Ack()
        ((announcement, pause),) = bench.queue.announcements
        assert pause == UNCALLED_PAUSES[min(number, 3)]
    assert bench.receiver.messages == []
    assert await bench.send(announcement) == Ack()
    assert (await bench.webhook()).status is WebhookStatus.DELIVERED
