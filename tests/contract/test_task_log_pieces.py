"""What every TaskLog promises of the pieces of an answer (application/ports/): every kind is kept
as it was said, and adds up to the same."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.answer import Answer, ToolCall
from domain.events import (
    ContentAdded,
    Event,
    ItemAdded,
    PieceAdded,
    ReasoningAdded,
    StatusChanged,
    TaskEnded,
    TaskStatus,
    ToolCallAdded,
    Usage,
    answer_of,
    fold,
)
from tests.builders import LEASE, NOW, claim, submit
from tests.contract.legal_logs import USAGES, piece_lists
from tests.contract.stores import Store, events_of

CITATION = {"type": "url_citation", "url_citation": {"url": "https://é.example", "n": [1, 2.5]}}
SEARCH = {"type": "web_search_call", "id": "ws_é\u2028", "action": {"queries": ["a"], "n": None}}
PIECES: list[Event] = [
    ReasoningAdded(NOW, "Hm\u2028,"),
    ContentAdded(NOW, "I look é."),
    ContentAdded(NOW, "", annotations=(CITATION,)),
    ItemAdded(NOW, SEARCH),
    ToolCallAdded(NOW, 0, "", "call_a", "search"),
    ToolCallAdded(NOW, 1, '{"q":', "call_b", "find"),
    ToolCallAdded(NOW, 0, '{"q": "\\u00e9"}'),
    ToolCallAdded(NOW, 1, " 1}"),
    ContentAdded(NOW, "Sorry.", refusal=True),
    ReasoningAdded(NOW, " well"),
    ItemAdded(NOW, {}),
]
ANSWER = Answer(
    "I look é.Sorry.",
    "Sorry.",
    "Hm\u2028, well",
    (
        ToolCall(0, "call_a", "search", '{"q": "\\u00e9"}'),
        ToolCall(1, "call_b", "find", '{"q": 1}'),
    ),
    (CITATION,),
    (SEARCH, {}),
)


async def test_an_answer_of_every_kind_of_piece_is_completed(store: Store) -> None:
    task_id = await submit(store.tasks)
    attempt = await claim(store.tasks, task_id)
    for index in range(0, len(PIECES), 4):
        attempt = await store.tasks.append(attempt, PIECES[index : index + 4], LEASE)
    usage = Usage(1, 2, 3, 4, 5, estimated=True)
    done = attempt.task.complete(
        NOW, answer=ANSWER, finish_reason="tool_calls", model="m", usage=usage, valid=False
    )
    await store.tasks.commit(attempt, done)
    task = await store.tasks.get(task_id)
    assert (task.usage, task.valid) == (usage, False)
    log = await events_of(store.tasks, task_id)
    assert log[2:-2] == PIECES
    assert log[-1] == TaskEnded(NOW, ANSWER, "tool_calls", "m", usage, False)
    assert fold(log).answer == ANSWER


async def test_cancel_keeps_every_kind_of_piece_of_the_last_attempt(store: Store) -> None:
    task_id = await submit(store.tasks)
    lost = await claim(store.tasks, task_id)
    lost = await store.tasks.append(lost, [ToolCallAdded(NOW, 0, "lost", "call_x", "x")], LEASE)
    await store.tasks.commit(lost, lost.task.requeue(NOW, "x"))
    await store.tasks.append(await claim(store.tasks, task_id), PIECES, LEASE)
    await store.tasks.cancel(task_id, NOW)
    last = (await events_of(store.tasks, task_id))[-1]
    assert isinstance(last, TaskEnded)
    assert last.answer == ANSWER


async def test_an_attempt_that_is_resumed_keeps_what_was_said(store: Store) -> None:
    """Nothing writes this yet; every reader honours it."""
    task_id = await submit(store.tasks)
    attempt = await claim(store.tasks, task_id)
    resumed: list[Event] = [
        ContentAdded(NOW, "a"),
        StatusChanged(NOW, TaskStatus.PENDING, 1, "shutting_down"),
        StatusChanged(NOW, TaskStatus.RUNNING, 2, resumed=True),
        ContentAdded(NOW, "b"),
    ]
    await store.tasks.append(attempt, resumed, LEASE)
    log = await events_of(store.tasks, task_id)
    assert log[2:] == resumed
    assert fold(log).answer == answer_of(log) == Answer("ab")


@settings(
    max_examples=5,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    attempts=st.lists(piece_lists(), max_size=2),
    last=piece_lists(),
    usage=st.none() | USAGES,
    valid=st.none() | st.booleans(),
)
async def test_any_log_is_read_as_it_was_written(
    store: Store,
    attempts: list[list[PieceAdded]],
    last: list[PieceAdded],
    usage: Usage | None,
    valid: bool | None,
) -> None:
    task_id = await submit(store.tasks)
    said: list[Event] = []
    for pieces in attempts:
        attempt = await claim(store.tasks, task_id)
        attempt = await store.tasks.append(attempt, pieces, LEASE)
        said += pieces
        await store.tasks.commit(attempt, attempt.task.requeue(NOW, "x"))
    attempt = await store.tasks.append(await claim(store.tasks, task_id), last, LEASE)
    done = attempt.task.complete(
        NOW, answer=answer_of(last), finish_reason="stop", model="m", usage=usage, valid=valid
    )
    await store.tasks.commit(attempt, done)
    log = await events_of(store.tasks, task_id)
    assert [each for each in log if isinstance(each, PieceAdded)] == [*said, *last]
    assert log[-2:] == list(done.events)
    assert fold(log).answer == answer_of(last)
    assert await store.tasks.get(task_id) == done.task
