"""When the next attempt of a task may begin: from the message to what people read."""

import json
import time

import pytest

from adapters.live import Hub
from adapters.memory import MemoryTaskLog
from adapters.qstash.message import decode, encode
from application.errors import ModelUnavailable
from application.outcome import Retry
from application.ports import Delivery
from application.ports.task_queue import LONGEST_PAUSE
from application.reap import FailOrphanedTasks
from domain.events import StatusChanged, TaskStatus
from domain.task import Task
from entrypoints.client.printing import Printer
from entrypoints.task_commands.record_text import record_text
from tests.builders import REQUEST, begun, delivery_of
from tests.unit.run_task_bench import TASK_ID, Bench


class SetClock:
    milliseconds = 0

    def now(self) -> int:
        return self.milliseconds


TASK = Task.submit("task_1_a", REQUEST, 7).task
FORMULA = "min(100000, 1000 * pow(10, retried))"


def _delay(retried: int | None, formula: str | None = FORMULA, limit: int = 10_000) -> float | None:
    delivery = decode(encode(TASK, REQUEST, 3, limit, formula), 9, retried=retried)
    assert isinstance(delivery, Delivery)
    return delivery.retry_delay


def test_a_message_says_how_long_its_queue_waits_before_it_delivers_it_again() -> None:
    assert [_delay(retried) for retried in range(4)] == [1.0, 10.0, 100.0, None]
    assert [_delay(retried, limit=1) for retried in (1, 3)] == [10.0, None], "without its request"
    assert _delay(None) is None, "the queue has not told how often it came before"
    assert _delay(0, None) is None, "an older instance has published it"
    for odd in ("1 /", "wrong(1)", "1 / retried"):
        assert _delay(0, odd) is None


def test_the_pause_that_is_asked_for_goes_before_that_of_the_message() -> None:
    def next_at(retry_delay: float | None, retry_after: float | None) -> int | None:
        delivery = Delivery("a", REQUEST, 1, 4, "m", 1, retry_delay=retry_delay)
        return delivery.next_at(5, retry_after)

    assert next_at(1.5, None) == 1_505
    assert next_at(1.5, 2.1) == 3_005, "it is asked for in whole seconds"
    assert next_at(1.5, 0) == 5
    assert next_at(1.5, LONGEST_PAUSE + 1) is None
    assert next_at(None, 2.0) is None, "this delivery is the last one"


async def test_a_lost_attempt_says_when_the_next_one_begins() -> None:
    bench = Bench()
    bench.model.say(ModelUnavailable("rate_limited", "Later.", 9))
    assert await bench.deliver(retry_delay=1.0) == Retry(9)
    lost = (await bench.events())[-1]
    assert isinstance(lost, StatusChanged)
    assert (lost.status, lost.next_attempt_at) == (TaskStatus.PENDING, lost.at + 9_000)
    assert (await bench.tasks.get(TASK_ID)).next_attempt_at == lost.next_attempt_at
    bench.model.say(ModelUnavailable("model_error", "It failed."))
    assert await bench.deliver() == Retry()  # by the last delivery of its message
    *_, begun, lost = await bench.events()
    assert [each.next_attempt_at for each in (begun, lost) if isinstance(each, StatusChanged)] == [
        None
    ] * 2
    assert (await bench.tasks.get(TASK_ID)).next_attempt_at is None


async def test_a_stop_does_not_say_when_the_next_attempt_begins() -> None:
    """The queue may be a part of what stops."""
    bench = Bench()
    running = bench.deliver(retry_delay=1.0)
    bench.model.say("a")
    await bench.until_content("a")
    bench.run.stop()
    assert await running == Retry()
    assert (await bench.tasks.get(TASK_ID)).next_attempt_at is None


async def test_a_task_is_not_orphaned_while_it_waits_for_its_next_attempt() -> None:
    """A model's server may ask for a pause that is longer than the orphan timeout."""
    clock = SetClock()
    tasks = MemoryTaskLog(Hub(), 1e6, 100.0, elapsed=lambda: clock.now() / 1000)
    orphans = FailOrphanedTasks(tasks, clock, 100.0)
    attempt = await begun(tasks)
    change = attempt.task.requeue(clock.now(), "rate_limited", next_attempt_at=500_000)
    await tasks.commit(attempt, change)
    for seconds, status in ((599, TaskStatus.PENDING), (601, TaskStatus.FAILED)):
        clock.milliseconds = seconds * 1000
        assert (await orphans(await tasks.get(attempt.task.id))).status is status


def test_people_read_when_the_next_attempt_begins(capsys: pytest.CaptureFixture[str]) -> None:
    now = round(time.time() * 1000)
    lost = {"type": "status", "data": "pending", "attempt": 1, "reason": "rate_limited"}
    hour = 3_600_000
    for at, next_at in (
        (now, now + hour),
        (now + 5 * hour, now + 6 * hour),
        (0, hour),
        (now, None),
    ):
        event = lost | {"timestamp": at} | ({} if next_at is None else {"nextAttemptAt": next_at})
        Printer().show("1", event)
    plain = "pending (rate_limited)"
    lines = capsys.readouterr().err.splitlines()
    assert lines == [f"{plain}, next try in 3600 s"] * 2 + [plain] * 2
    record = {"taskId": "a", "status": "pending", "nextAttemptAt": now}
    assert "next try: 2" in record_text(record)
    assert "next try" not in record_text(record | {"nextAttemptAt": None})


def test_what_a_message_holds_is_not_changed_by_it() -> None:
    written = json.loads(encode(TASK, REQUEST, 3, retry_delay=FORMULA))
    assert written.pop("retryDelay") == FORMULA
    assert written == json.loads(encode(TASK, REQUEST, 3))
    assert delivery_of("a").retry_delay is None
