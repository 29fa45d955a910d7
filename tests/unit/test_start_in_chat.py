"""StartTask in a chat: which turn joins the newest task, and which one is a new task."""

from collections.abc import Awaitable, Callable

import pytest

from application.accounts import Caller
from application.errors import (
    ChatBusy,
    IdempotencyConflict,
    OverLimit,
    QueueRefused,
    QueueUnavailable,
    StartUncertain,
    StoreUnavailable,
)
from application.start_in_chat import JOINED_AFTER, OUTLIVES, REGENERATE
from application.start_task import Started, Turn
from domain.answer import Answer
from domain.events import TaskStatus
from domain.failure import Failure
from domain.request import DEFAULT_BOUNDS, TaskRequest
from entrypoints.identity import SystemClock
from tests.builders import OTHER_REQUEST, REQUEST, claim
from tests.doubles.starts import CALLER, Bench

FAILED = Failure("model_error", "It failed.", True)
TURN = Turn(chat_id="c", trigger="submit-message")
REJECTING = Turn(chat_id="c", trigger="submit-message", reject=True)
KEYED = Turn(chat_id="c", trigger="submit-message", key="key")
PENDING, CANCELLED = TaskStatus.PENDING, TaskStatus.CANCELLED


async def _send(
    bench: Bench, request: TaskRequest = REQUEST, turn: Turn = TURN, caller: Caller = CALLER
) -> Started:
    return await bench.starter()(request, caller, turn)


def _status(bench: Bench, started: Started) -> TaskStatus:
    return bench.records[started.task.id].status


async def _complete(bench: Bench, started: Started, ago: float = 0.0) -> None:
    """`ago`: seconds since the task has ended."""
    attempt = await claim(bench.tasks, started.task.id)
    at = SystemClock().now() - int(ago * 1000)
    done = attempt.task.complete(at, answer=Answer(""), finish_reason="stop", model="m", usage=None)
    await bench.tasks.commit(attempt, done)


async def _fail(bench: Bench, started: Started) -> None:
    await bench.tasks.fail(started.task.id, FAILED, 1)


async def _cancel(bench: Bench, started: Started) -> None:
    await bench.tasks.cancel(started.task.id, 1)


async def _delete(bench: Bench, started: Started) -> None:
    await bench.tasks.delete(started.task.id)


async def test_the_same_turn_joins_a_task_that_has_not_ended() -> None:
    bench = Bench(starts=1)
    first = await _send(bench)
    assert not first.joined
    for turn in (TURN, REJECTING):
        again = await _send(bench, turn=turn)
        assert again.joined
        assert again.task.id == first.task.id
    await claim(bench.tasks, first.task.id)
    assert (await _send(bench)).task.status is TaskStatus.RUNNING
    assert bench.queue.taken == [first.task.id]


async def test_the_same_turn_joins_a_task_that_has_just_completed() -> None:
    bench = Bench()
    first = await _send(bench)
    await _complete(bench, first)
    again = await _send(bench)
    assert again.joined
    assert again.task.status is TaskStatus.COMPLETED


async def test_the_same_turn_is_a_new_one_some_seconds_after_its_task_has_completed() -> None:
    bench = Bench()
    first = await _send(bench)
    await _complete(bench, first, ago=JOINED_AFTER + 1)
    again = await _send(bench)
    assert not again.joined
    assert again.task.id != first.task.id
    assert bench.queue.withdrawn == []


async def test_a_second_regenerate_gives_another_answer_at_once() -> None:
    bench = Bench()
    regenerate = Turn(chat_id="c", trigger=REGENERATE)
    first = await _send(bench, turn=regenerate)
    assert (await _send(bench, turn=regenerate)).task.id == first.task.id  # it has not ended
    await _complete(bench, first)
    assert (await _send(bench, turn=regenerate)).task.id != first.task.id


async def test_a_turn_with_a_key_joins_its_completed_task_whenever_it_is_sent() -> None:
    bench = Bench()
    first = await _send(bench, turn=KEYED)
    await _complete(bench, first, ago=JOINED_AFTER * 100)
    assert (await _send(bench, turn=KEYED)).task.id == first.task.id
    other = Turn(chat_id="c", trigger="submit-message", key="another key")
    assert (await _send(bench, turn=other)).task.id != first.task.id


@pytest.mark.parametrize("turn", [TURN, KEYED])
@pytest.mark.parametrize("end", [_fail, _cancel, _delete])
async def test_the_same_turn_is_a_new_one_if_its_task_gave_no_whole_answer(
    end: Callable[[Bench, Started], Awaitable[None]], turn: Turn
) -> None:
    bench = Bench()
    first = await _send(bench, turn=turn)
    await end(bench, first)
    again = await _send(bench, turn=turn)
    assert not again.joined
    assert bench.queue.taken == [first.task.id, again.task.id]


@pytest.mark.parametrize("turn", [TURN, KEYED])
async def test_another_turn_cancels_the_task_that_has_not_ended(turn: Turn) -> None:
    bench = Bench()
    first = await _send(bench)
    for request, trigger in ((OTHER_REQUEST, "submit-message"), (REQUEST, "regenerate-message")):
        before = await _send(bench, REQUEST)
        other = Turn(chat_id="c", trigger=trigger, key=turn.key)
        after = await _send(bench, request, other)
        assert not after.joined
        assert _status(bench, before) is CANCELLED
        assert _status(bench, after) is PENDING
        assert bench.queue.withdrawn[-1] == f"msg_{before.task.id}"
    assert _status(bench, first) is CANCELLED


async def test_another_turn_leaves_a_task_that_has_ended_as_it_is() -> None:
    bench = Bench()
    first = await _send(bench)
    await _complete(bench, first)
    second = await _send(bench, OTHER_REQUEST, REJECTING)
    assert not second.joined
    assert _status(bench, first) is TaskStatus.COMPLETED
    await _fail(bench, second)
    assert not (await _send(bench, REQUEST)).joined
    assert _status(bench, second) is TaskStatus.FAILED


async def test_another_turn_is_refused_if_it_asks_for_that() -> None:
    bench = Bench()
    first = await _send(bench)
    with pytest.raises(ChatBusy):
        await _send(bench, OTHER_REQUEST, REJECTING)
    assert _status(bench, first) is PENDING
    assert (await _send(bench)).joined
    await _complete(bench, first)
    assert not (await _send(bench, OTHER_REQUEST, REJECTING)).joined
    assert len(bench.admits.admitted) == 2


async def test_a_task_that_the_queue_has_lost_refuses_no_turn() -> None:
    bench = Bench()
    first = await _send(bench)
    bench.lose(first.task.id)
    assert not (await _send(bench, OTHER_REQUEST, REJECTING)).joined
    assert _status(bench, first) is TaskStatus.FAILED


async def test_a_key_names_one_request() -> None:
    bench = Bench()
    first = await _send(bench, turn=KEYED)
    for request, trigger in ((OTHER_REQUEST, "submit-message"), (REQUEST, "regenerate-message")):
        with pytest.raises(IdempotencyConflict):
            await _send(bench, request, Turn(chat_id="c", trigger=trigger, key="key"))
    assert _status(bench, first) is PENDING
    await _fail(bench, first)
    assert not (await _send(bench, OTHER_REQUEST, KEYED)).joined


async def test_chats_and_owners_have_tasks_of_their_own() -> None:
    bench = Bench()
    first = await _send(bench)
    for chat_id, owner in (("d", "alice"), ("c", "bob"), ("c", None)):
        turn = Turn(chat_id=chat_id, trigger="submit-message")
        other = await _send(bench, turn=turn, caller=Caller(owner, ""))
        assert not other.joined
        assert other.task.owner == owner
    assert (await _send(bench)).task.id == first.task.id
    assert {each.status for each in bench.records.values()} == {PENDING}


async def test_no_idempotency_key_is_the_key_of_a_chat() -> None:
    bench = Bench()
    for owner, key in (("chat", "c"), (None, "c"), (None, "chat"), ("chat", "alice")):
        await bench.starter()(REQUEST, Caller(owner, ""), key)
    for owner in ("alice", "chat", None):
        assert not (await _send(bench, caller=Caller(owner, ""))).joined


async def test_a_turn_that_is_refused_leaves_the_chat_at_the_task_before() -> None:
    """That task is cancelled all the same: its slot may be what the new one needs."""
    bench = Bench(starts=1)
    first = await _send(bench)
    with pytest.raises(OverLimit):
        await _send(bench, OTHER_REQUEST)
    newest = await bench.chats().newest("c", CALLER.owner)
    assert newest is not None
    assert newest.id == first.task.id
    assert newest.status is CANCELLED
    assert len(bench.records) == 1


async def test_a_first_turn_that_is_refused_leaves_no_chat() -> None:
    bench = Bench(starts=0)
    with pytest.raises(OverLimit):
        await _send(bench)
    assert await bench.chats().newest("c", CALLER.owner) is None
    bench.admits.left = 1
    assert not (await _send(bench, OTHER_REQUEST)).joined


async def test_a_turn_that_broke_before_its_record_leaves_the_chat_at_the_task_before() -> None:
    bench = Bench()
    first = await _send(bench)

    async def away(step: str) -> None:
        if step == "before create":
            raise StoreUnavailable("away")

    with pytest.raises(StoreUnavailable):
        await bench.starter(away)(OTHER_REQUEST, CALLER, TURN)
    assert bench.admits.released == bench.admits.admitted[1:]
    newest = await bench.chats().newest("c", CALLER.owner)
    assert newest is not None
    assert newest.id == first.task.id


async def test_a_turn_that_the_queue_refuses_leaves_the_chat_at_the_task_before() -> None:
    bench = Bench()
    first = await _send(bench)
    bench.queue.error = QueueRefused("no")
    with pytest.raises(QueueRefused):
        await _send(bench, OTHER_REQUEST)
    newest = await bench.chats().newest("c", CALLER.owner)
    assert newest is not None
    assert newest.id == first.task.id
    bench.queue.error = None
    assert not (await _send(bench, OTHER_REQUEST)).joined


async def test_the_same_turn_publishes_what_the_queue_did_not_confirm() -> None:
    bench = Bench()
    bench.queue.error = QueueUnavailable("away", 7.0)
    with pytest.raises(StartUncertain) as uncertain:
        await _send(bench)
    assert uncertain.value.retry_after == 7.0
    bench.queue.error = None
    again = await _send(bench)
    assert again.joined
    assert again.task.message_id is not None
    assert bench.queue.taken == [again.task.id, again.task.id]


async def test_another_turn_cancels_what_the_queue_did_not_confirm() -> None:
    bench = Bench()
    bench.queue.error = QueueUnavailable("away")
    with pytest.raises(StartUncertain):
        await _send(bench)
    bench.queue.error = None
    other = await _send(bench, OTHER_REQUEST)
    statuses = {task.id: task.status for task in bench.records.values()}
    assert statuses.pop(other.task.id) is PENDING
    assert list(statuses.values()) == [CANCELLED]


async def test_a_chat_points_to_its_task_for_longer_than_that_is_kept() -> None:
    bench = Bench()
    first = await _send(bench)
    bench.now += DEFAULT_BOUNDS.max_ttl + OUTLIVES - 1
    assert (await _send(bench)).task.id == first.task.id
    bench.now += 1
    assert not (await _send(bench)).joined


async def test_a_turn_whose_task_has_expired_is_a_new_one() -> None:
    bench = Bench(ttl=60.0)
    first = await _send(bench, turn=KEYED)
    await _complete(bench, first)
    bench.now += 61.0
    again = await _send(bench, turn=KEYED)
    assert not again.joined
    assert again.task.id != first.task.id
