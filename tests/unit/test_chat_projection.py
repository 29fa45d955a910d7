"""The stream of a chat completion, projected from a log: openai-python adds it up to the object of
the ended task, batches make no difference, and nothing is told that is lost."""

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from litestar.plugins.problem_details import ProblemDetailsException
from openai import omit
from openai.lib.streaming.chat._completions import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from application.ports import Batch
from domain.answer import Answer, ToolCall
from domain.events import (
    ContentAdded,
    Event,
    ItemAdded,
    ReasoningAdded,
    StatusChanged,
    TaskEnded,
    TaskErrored,
    TaskStatus,
    Usage,
    begins_anew,
)
from domain.position import START, Position
from domain.request import TaskRequest
from domain.task import Task
from entrypoints.http.openai.chat_object import chat_completion
from entrypoints.http.openai.chat_projection import DONE, ChatProjection, ChatState
from entrypoints.http.sse.projected import Steps
from tests.contract.legal_logs import USAGES, legal_logs

TASK = Task.submit("task_1_a", TaskRequest(model="m", prompt="Hi."), 1).task
REASONS = st.sampled_from(["stop", "length", "content_filter", "tool_calls", "end_turn"])
PENDING, RUNNING = StatusChanged(1, TaskStatus.PENDING, 0), StatusChanged(1, TaskStatus.RUNNING, 1)
LOST, AGAIN = StatusChanged(1, TaskStatus.PENDING, 1), StatusChanged(1, TaskStatus.RUNNING, 2)
COMPLETED = StatusChanged(1, TaskStatus.COMPLETED, 1)
CANCELLED = StatusChanged(1, TaskStatus.CANCELLED, 1)
FAILED = StatusChanged(1, TaskStatus.FAILED, 1, "any")
NOTHING = Answer()


@st.composite
def logs(draw: st.DrawFn) -> list[Event]:
    """Logs whose calls have the ids that the domain asks for."""
    *events, end = draw(legal_logs())
    if isinstance(end, TaskEnded):
        calls = [replace(each, id=f"call_{each.index}") for each in end.answer.tool_calls]
        answer = replace(end.answer, tool_calls=tuple(calls))
        reason, usage = draw(REASONS), draw(USAGES)
        end = replace(end, answer=answer, finish_reason=reason, usage=usage)
    return [*events, end]


def batches(events: Sequence[Event], size: int, after: Position = START) -> list[Batch]:
    made = []
    for begin in range(0, len(events), size):
        made.append(Batch(after, "e", tuple(events[begin : begin + size])))
        after = made[-1].end
    return made


def told(
    events: Sequence[Event], size: int = 3, *, usage: bool = False, lost: int = 0
) -> tuple[bytes, ChatState]:
    """The stream that ignores the first events."""
    start = Position("e", lost) if lost else START
    projection = ChatProjection(TASK, include_usage=usage, start=start)
    state, frames = projection.begin(), b""
    for batch in batches(events[lost:], size, start):
        more, state = Steps().step(projection, state, batch)
        frames += more
        if state.over:
            break
    return frames, state


def decoded(frames: bytes) -> list[Any]:
    blocks = frames.removesuffix(DONE).decode().split("\n\n")
    assert blocks.pop() == ""
    return [json.loads(each.removeprefix("data: ")) for each in blocks]


def lost_in(log: Sequence[Event]) -> int:
    """How many events lie before the last attempt that began anew."""
    return max((at for at, each in enumerate(log) if begins_anew(each)), default=0)


async def completion_of(log: Sequence[Event]) -> dict[str, Any]:
    async def read() -> AsyncIterator[Batch]:
        for each in batches(log, 3):
            yield each

    return await chat_completion(TASK, read(), {"X-Name": "value"})


def says_text(event: Event) -> bool:
    return isinstance(event, ContentAdded) and event.text != ""


@given(logs(), st.integers(1, 7), st.booleans())
def test_batches_make_no_difference(log: list[Event], size: int, usage: bool) -> None:
    whole, state = told(log, 1, usage=usage)
    again, after = told(log, size, usage=usage)
    assert again == whole
    assert after.over == state.over


@settings(deadline=None)  # the SDK builds its types when they are first used
@given(logs(), st.booleans())
async def test_what_openai_python_adds_up_is_the_object(log: list[Event], usage: bool) -> None:
    frames, _ = told(log, lost=lost_in(log), usage=usage)
    if not completes(log):
        assert "error" in decoded(frames)[-1]
        assert not frames.endswith(DONE)
        return
    assert frames.endswith(DONE)
    added_up = ChatCompletionStreamState[Any](input_tools=omit, response_format=omit)
    for each in decoded(frames):
        added_up.handle_chunk(ChatCompletionChunk.model_validate(each))
    total: Any = added_up.current_completion_snapshot.to_dict()
    whole = await completion_of(log)
    ChatCompletion.model_validate(whole)
    [choice], [summed] = whole["choices"], total["choices"]
    for call in summed["message"].get("tool_calls") or ():
        del call["index"]
        call["function"].pop("parsed_arguments", None)  # the helper's own
    for name, value in choice["message"].items():
        assert (summed["message"].get(name) or None) == (value or None)
    assert summed["finish_reason"] == choice["finish_reason"]
    assert total.get("usage") == (whole["usage"] if usage else None)


@given(logs())
def test_text_that_was_told_is_never_taken_back(log: list[Event]) -> None:
    frames, state = told(log)
    last = lost_in(log)
    if any(says_text(each) for each in log[:last]):
        assert state.over
        assert decoded(frames)[-1]["error"]["code"] == "attempt_lost"
        assert not frames.endswith(DONE)
        assert not any(each["choices"][0]["finish_reason"] for each in decoded(frames)[:-1])
    else:
        assert not state.over
        assert frames.endswith(DONE) == completes(log)


@given(logs())
def test_a_replay_leaves_out_what_was_lost(log: list[Event]) -> None:
    frames, _ = told(log, lost=lost_in(log))
    end = log[-1]
    if isinstance(end, TaskEnded):
        assert text_of(frames) == end.answer.text


def test_lost_reasoning_alone_is_told_twice() -> None:
    thought = ReasoningAdded(1, "Hm.")
    frames, _ = told(
        [PENDING, RUNNING, thought, LOST, AGAIN, thought, ContentAdded(1, "Hi."), *end()]
    )
    reasoning = [
        each["reasoning_content"] for each in deltas(frames) if "reasoning_content" in each
    ]
    assert reasoning == ["Hm.", "Hm."]
    assert frames.endswith(DONE)


def test_a_resumed_attempt_goes_on() -> None:
    resumed = replace(AGAIN, resumed=True)
    log = [PENDING, RUNNING, ContentAdded(1, "He"), LOST, resumed, ContentAdded(1, "llo"), *end()]
    frames, _ = told(log)
    assert text_of(frames) == "Hello"
    assert frames.endswith(DONE)


def test_the_first_chunk_comes_once_the_task_runs() -> None:
    assert told([PENDING])[0] == b""
    [first] = deltas(told([PENDING, RUNNING, LOST, AGAIN])[0])
    assert first == {"role": "assistant", "content": "", "refusal": None}


def test_usage_is_told_where_it_is_asked_for_and_is_null_in_all_other_chunks() -> None:
    log = [PENDING, RUNNING, ContentAdded(1, "Hi."), *end(usage=Usage(3, 5, 8, 2, 1))]
    *others, last = decoded(told(log, usage=True)[0])
    assert [each["usage"] for each in others] == [None] * 3
    assert last["choices"] == []
    assert last["usage"] == {
        "prompt_tokens": 3,
        "completion_tokens": 5,
        "total_tokens": 8,
        "prompt_tokens_details": {"cached_tokens": 1},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }
    assert not any("usage" in each for each in decoded(told(log)[0]))


def test_calls_are_told_whole_and_numbered_without_gaps() -> None:
    calls = (ToolCall(2, "a", "look", ""), ToolCall(5, "b", "read", '{"x": 1}'))
    frames, _ = told([PENDING, RUNNING, *end(Answer(tool_calls=calls), "stop")])
    assert [each["tool_calls"] for each in deltas(frames) if "tool_calls" in each] == [
        [{"index": 0, "id": "a", **function("look", "{}")}],
        [{"index": 1, "id": "b", **function("read", '{"x": 1}')}],
    ]
    assert decoded(frames)[-1]["choices"][0]["finish_reason"] == "tool_calls"


def test_a_call_that_was_cut_off_is_not_told() -> None:
    calls = (ToolCall(0, "a", "look", '{"x'), ToolCall(1, "b", "read", "{}"))
    frames, _ = told([PENDING, RUNNING, *end(Answer(tool_calls=calls), "max_tokens")])
    [[call]] = [each["tool_calls"] for each in deltas(frames) if "tool_calls" in each]
    assert (call["index"], call["id"]) == (0, "b")
    assert decoded(frames)[-1]["choices"][0]["finish_reason"] == "length"


def test_citations_are_told_together_since_helpers_cannot_join_them() -> None:
    cited = {"url": "https://example.org", "title": "E", "start_index": 0, "end_index": 2}
    notes = (
        {"type": "url_citation", "url_citation": cited},
        {"type": "file_citation", "file_id": "f"},
        {"type": "url_citation", **cited},
    )
    frames, _ = told([PENDING, RUNNING, *end(Answer(annotations=notes))])
    [told_notes] = [each["annotations"] for each in deltas(frames) if "annotations" in each]
    assert told_notes == [{"type": "url_citation", "url_citation": cited}] * 2


async def test_what_hosted_tools_did_is_told_in_one_field_of_our_own() -> None:
    items = ({"type": "web_search_call", "id": "ws_1"}, {"type": "mcp_call", "id": "mcp_1"})
    log = [PENDING, RUNNING, *(ItemAdded(1, each) for each in items), *end(Answer(items=items))]
    frames, _ = told(log)
    assert [each["items"] for each in deltas(frames) if "items" in each] == [list(items)]
    assert (await completion_of(log))["choices"][0]["message"]["items"] == list(items)


@pytest.mark.parametrize(
    ("last", "status", "kind"),
    [
        (
            [StatusChanged(1, TaskStatus.CANCELLED, 1), TaskEnded(1, Answer(), "cancelled", "m")],
            400,
            "cancelled",
        ),
        (
            [StatusChanged(1, TaskStatus.FAILED, 1), TaskErrored(1, "No.", "model_error", True)],
            500,
            "model-error",
        ),
        (
            [StatusChanged(1, TaskStatus.FAILED, 1), TaskErrored(1, "No.", "bad_key", False)],
            400,
            "bad-key",
        ),
    ],
)
async def test_a_task_that_did_not_complete_is_a_problem(
    last: list[Event], status: int, kind: str
) -> None:
    with pytest.raises(ProblemDetailsException) as raised:
        await completion_of([PENDING, RUNNING, *last])
    problem = raised.value
    assert (problem.status_code, problem.headers) == (status, {"X-Name": "value"})
    assert (problem.type_ or "").endswith(f":{kind}")


def end(
    answer: Answer = NOTHING, reason: str = "stop", usage: Usage | None = None
) -> tuple[Event, Event]:
    return COMPLETED, TaskEnded(1, answer, reason, "m-1", usage)


def completes(log: Sequence[Event]) -> bool:
    status = next(each for each in reversed(log) if isinstance(each, StatusChanged))
    return status.status is TaskStatus.COMPLETED


def deltas(frames: bytes) -> list[Any]:
    return [each["delta"] for chunk in decoded(frames) for each in chunk.get("choices", ())]


def text_of(frames: bytes) -> str:
    return "".join(each.get("content") or each.get("refusal") or "" for each in deltas(frames))


def function(name: str, arguments: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "arguments": arguments}}
