"""The UI message stream of a task, projected from its log: the page reads the answer, once."""

import time
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.answer import Answer
from domain.events import (
    ContentAdded,
    Event,
    ItemAdded,
    StatusChanged,
    TaskEnded,
    TaskErrored,
    TaskStatus,
    ToolCallAdded,
)
from domain.request import TaskRequest
from entrypoints.http.ai_sdk.projection import UiProjection
from entrypoints.http.ai_sdk.ui_state import SDKS, StreamContext, UiState
from entrypoints.http.sse.projected import Steps
from tests.contract.legal_logs import legal_logs
from tests.official.logs import KINDS, log_of
from tests.unit.test_response_projection import BEGUN, batches
from tests.unit.ui_message import Chunk, UiMessage, decoded

TASK_ID = "task_1_a"
REASONS = st.sampled_from(["stop", "length", "content_filter", "tool_calls", "eos"])
LOOK_UP = {"type": "function", "function": {"name": "look_up"}}


@st.composite
def logs(draw: st.DrawFn) -> list[Event]:
    """Logs whose attempts use the same ids of calls, each of them once."""
    *events, end = [
        replace(each, id=f"call_{each.index}")
        if isinstance(each, ToolCallAdded) and each.id is not None
        else each
        for each in draw(legal_logs())
    ]
    if isinstance(end, TaskEnded):
        calls = [replace(each, id=f"call_{each.index}") for each in end.answer.tool_calls]
        end = replace(end, answer=replace(end.answer, tool_calls=tuple(calls)))
        end = replace(end, finish_reason=draw(REASONS))
    return [*events, end]


ANY_LOG = logs() | st.sampled_from([log_of(steps) for steps in KINDS.values()])


def projection_of(sdk: int = 7, **request: Any) -> UiProjection:
    echo = {"api": "ai-sdk", "sdk": sdk, **request.pop("echo", {})}
    asked = {"model": "m", "prompt": "Hi.", "echo": echo, **request}
    return UiProjection(StreamContext.of(TASK_ID, TaskRequest(**asked)))


def told(projection: UiProjection, log: list[Event], size: int = 3) -> tuple[bytes, UiState]:
    frames, state = b"", projection.begin()
    for batch in batches(log, "e", size):
        more, state = Steps().step(projection, state, batch)
        frames += more
    return frames, state


def chunks_of(log: list[Event], sdk: int = 7, **request: Any) -> list[Chunk]:
    return decoded(told(projection_of(sdk, **request), log)[0])


def ended(answer: Answer, reason: str = "stop") -> list[Event]:
    completed = StatusChanged(1, TaskStatus.COMPLETED, 1)
    return [completed, TaskEnded(1, answer, reason, "m", None)]


@given(ANY_LOG, st.integers(1, 9), st.sampled_from(SDKS))
def test_batches_make_no_difference_and_neither_do_frames(
    log: list[Event], size: int, sdk: int
) -> None:
    projection = projection_of(sdk)
    whole, state = told(projection, log, 1)
    assert told(projection, log, size) == (whole, state)
    assert state.count == len(decoded(whole))
    folded = projection.begin()
    for batch in batches(log, "e", size):
        folded = projection.fold(folded, batch)
    assert folded == state
    assert state.finished


@pytest.mark.soak
@given(ANY_LOG)
def test_all_versions_have_the_same_number_of_chunks(log: list[Event]) -> None:
    of_7, of_6, of_5 = (chunks_of(log, sdk) for sdk in (7, 6, 5))
    assert of_5 == of_6
    assert len(of_6) == len(of_7)
    differ = [(old["type"], new["type"]) for old, new in zip(of_6, of_7, strict=True) if old != new]
    assert set(differ) <= {("data-reset-step", "reset-step")}


@given(ANY_LOG, st.sampled_from(SDKS))
def test_the_page_shows_the_answer_of_the_last_attempt(log: list[Event], sdk: int) -> None:
    message = UiMessage().read(chunks_of(log, sdk))
    assert message.id == f"msg_{TASK_ID}"
    assert message.metadata["taskId"] == TASK_ID
    status, end = log[-2], log[-1]
    assert isinstance(status, StatusChanged)
    assert message.metadata["status"] == status.status.value
    assert message.finish is not None
    if isinstance(end, TaskErrored):
        assert (message.error, message.finish["finishReason"]) == (end.message, "error")
        return
    assert isinstance(end, TaskEnded)
    assert message.text() == end.answer.text
    assert message.text("reasoning") == end.answer.reasoning
    refused = [part["text"] for part in message.step if part.get("longtask") == {"refusal": True}]
    assert "".join(refused) == end.answer.refusal
    assert {call["raw"] for call in message.calls()} == {
        call.arguments for call in end.answer.tool_calls
    }
    if status.status is TaskStatus.COMPLETED:
        assert message.metadata["model"] == end.model


@given(ANY_LOG)
def test_a_tool_is_run_once_and_only_of_an_answer_that_is_whole(log: list[Event]) -> None:
    message = UiMessage().read(chunks_of(log))
    end = log[-1]
    assert len(set(message.ran)) == len(message.ran)
    assert message.finish is not None
    states = {call["state"] for call in message.calls()}
    if message.finish["finishReason"] in ("length", "content-filter", "error") or (
        isinstance(end, TaskEnded) and message.metadata["status"] == "cancelled"
    ):
        assert not message.ran
        assert states <= {"input-streaming"}
    else:
        assert states <= {"input-available", "output-error"}


@given(ANY_LOG)
def test_each_answer_shows_a_new_step(log: list[Event]) -> None:
    """Else the page posts the results of its tools again and again."""
    chunks = chunks_of(log)
    assert [each["type"] for each in chunks[:2]] == ["start", "start-step"]
    assert any(each["type"] in ("message-metadata", "error") for each in chunks[2:])


def test_the_chunks_of_an_answer() -> None:
    log = log_of(KINDS["text and calls"])
    finish = {"usage": None, "model": "m"}
    chunks = chunks_of(log, options={"tools": [LOOK_UP]})
    assert chunks[-1].pop("messageMetadata").keys() == finish.keys()
    call = {"toolCallId": "call_a", "toolName": "look_up"}
    other = {"toolCallId": "call_b", "toolName": "look_up"}
    assert chunks == [
        {
            "type": "start",
            "messageId": f"msg_{TASK_ID}",
            "messageMetadata": {"taskId": TASK_ID, "status": "pending"},
        },
        {"type": "start-step"},
        {"type": "text-start", "id": "3"},
        {"type": "text-delta", "id": "3", "delta": "Wait."},
        {"type": "text-end", "id": "3"},
        {"type": "tool-input-start", **call},
        {"type": "tool-input-delta", "toolCallId": "call_a", "inputTextDelta": '{"city": '},
        {"type": "tool-input-delta", "toolCallId": "call_a", "inputTextDelta": '"Oslo"}'},
        {"type": "tool-input-start", **other},
        {"type": "message-metadata", "messageMetadata": {"status": "completed", "attempt": 1}},
        {"type": "tool-input-available", **call, "input": {"city": "Oslo"}},
        {"type": "tool-input-available", **other, "input": {}},
        {"type": "finish-step"},
        {"type": "finish", "finishReason": "tool-calls"},
    ]


@pytest.mark.parametrize(
    ("sdk", "reset"),
    [
        (7, {"type": "reset-step"}),
        (6, {"type": "data-reset-step", "data": {"attempt": 2}}),
        (5, {"type": "data-reset-step", "data": {"attempt": 2}}),
    ],
)
def test_a_lost_attempt_is_taken_back_when_the_next_one_begins(sdk: int, reset: Chunk) -> None:
    lost = {"status": "pending", "attempt": 1, "reason": "lease_lapsed"}
    again = {"status": "running", "attempt": 2, "reason": None}
    assert chunks_of(log_of(KINDS["lost in text"]), sdk)[4:7] == [
        {"type": "message-metadata", "messageMetadata": lost},
        reset,
        {"type": "message-metadata", "messageMetadata": again},
    ]


def test_a_resumed_attempt_goes_on_with_the_open_part() -> None:
    types = [each["type"] for each in chunks_of(log_of(KINDS["resumed in text"]))[2:-3]]
    assert types == [
        "text-start",
        "text-delta",
        "message-metadata",
        "message-metadata",
        "text-delta",
        "message-metadata",
    ]


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("stop", "stop"),
        ("STOP", "stop"),
        ("length", "length"),
        ("max_tokens", "length"),
        ("content_filter", "content-filter"),
        ("tool_calls", "tool-calls"),
        ("end_turn", "other"),
    ],
)
def test_why_the_model_stopped_is_told_in_the_words_of_the_sdk(reason: str, finish: str) -> None:
    assert chunks_of([*BEGUN, *ended(Answer(), reason)])[-1]["finishReason"] == finish


def test_a_cited_page_is_told_as_a_source() -> None:
    message = UiMessage().read(chunks_of(log_of(KINDS["citation"])))
    assert message.step[1:] == [{"type": "source-url", "url": "https://example.org"}]


def test_a_cited_file_is_told_as_a_source() -> None:
    note = {"type": "file_citation", "file_id": "file_1", "filename": "a.pdf", "index": 2}
    said = ContentAdded(1, "So.", annotations=(note, {**note, "index": None}))
    log = [*BEGUN, said, *ended(Answer("So.", annotations=said.annotations))]
    message = UiMessage().read(chunks_of(log))
    assert message.step[1:] == [{"type": "source-document", "title": "a.pdf"}]


def test_what_hosted_tools_did_is_told_in_its_place_and_a_picture_as_a_file() -> None:
    message = UiMessage().read(chunks_of(log_of(KINDS["every hosted tool"])))
    assert [part["data"]["type"] if "data" in part else part["type"] for part in message.step] == [
        *("reasoning", "mcp_list_tools", "mcp_call", "text", "code_interpreter_call"),
        *("image_generation_call", "file", "text"),
    ]
    assert [part["url"] for part in message.step if part["type"] == "file"] == [
        "data:image/png;base64,iVBORw0KGgo="
    ]
    assert "iVBORw0KGgo=" not in str([part for part in message.step if "data" in part])


def test_an_item_that_the_sdk_would_refuse_is_named() -> None:
    item = {"type": "mcp_list_tools", "id": "m", "tools": [{"constructor": {"prototype": 1}}]}
    log = [*BEGUN, ItemAdded(1, item), *ended(Answer(items=(item,)))]
    (part,) = UiMessage().read(chunks_of(log)).step
    wrong = "Its contents have a field of a name that the AI SDK does not accept."
    assert part["data"] == {"type": "mcp_list_tools", "error": wrong}


def test_a_log_that_was_lost_ends_as_any_other() -> None:
    message = UiMessage().read(chunks_of([TaskErrored(1, "Lost.", "log_lost", True)]))
    assert (message.error, message.metadata["status"]) == ("Lost.", "failed")


def test_a_task_of_another_face_is_told_to_version_7() -> None:
    request = TaskRequest(model="m", prompt="Hi.", echo={"sdk": 5, "message": 1})
    context = StreamContext.of(TASK_ID, request)
    assert (context.sdk, context.message_id) == (7, f"msg_{TASK_ID}")


def test_a_log_of_many_calls_or_parts_costs_no_more_for_each() -> None:
    calls: list[Event] = [ToolCallAdded(1, n, "{}", f"c{n}", "f") for n in range(5_000)]
    parts: list[Event] = [ContentAdded(1, "a", refusal=n % 2 == 0) for n in range(10_000)]
    began = time.process_time()
    for log in (calls, parts):
        told(projection_of(), [*BEGUN, *log], 500)
    assert time.process_time() - began < 2
