"""The stream of a response, projected from a log: any prefix and a resume behind it is the whole,
and openai-python adds it up to the final object."""

import json
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from typing import Any, cast

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from openai import omit
from openai._models import construct_type_unchecked
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import Response, ResponseStreamEvent

from application.manage_task import GetTask
from application.ports import Batch
from domain.answer import Answer, JsonObject, ToolCall
from domain.events import (
    ContentAdded,
    Event,
    ItemAdded,
    ReasoningAdded,
    StatusChanged,
    TaskEnded,
    TaskErrored,
    TaskStatus,
    ToolCallAdded,
)
from domain.position import START, Position
from domain.request import TaskRequest
from domain.task import Task
from entrypoints.http.openai.response_projection import ResponseProjection
from entrypoints.http.openai.response_state import ResponseState
from entrypoints.http.openai.views import ResponseView
from entrypoints.http.sse.projected import Steps
from tests.contract.legal_logs import legal_logs

BEGUN: list[Event] = [
    StatusChanged(1, TaskStatus.PENDING, 0),
    StatusChanged(1, TaskStatus.RUNNING, 1),
]
TASK = Task.submit("task_1_a", TaskRequest(model="m", prompt="Hi."), 1).task
REASONS = st.sampled_from(["stop", "length", "content_filter", "tool_calls", "eos"])


ITEMS: list[JsonObject] = [
    {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search"}},
    {"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": "aGk="},
    {"type": "mcp_call", "id": "mcp_1", "name": "f", "server_label": "s", "arguments": "{}"},
    {"type": "mcp_call", "id": "msg_1", "name": "f", "server_label": "s", "arguments": ""},
]


class Log:
    """A log as it is now, in place of a store."""

    def __init__(self, events: Sequence[Event], epoch: str = "e", size: int = 3) -> None:
        self.batches = list(batches(events, epoch, size))
        self.reads = 0

    async def log(self, _: str, position: Position = START) -> AsyncGenerator[Batch, None]:
        known = position == START or any(each.end.epoch == position.epoch for each in self.batches)
        for each in self.batches:
            if not known or each.end.offset > position.offset:
                self.reads += len(each.events)
                yield each.behind(position) if known and each.follows(position) else each


def batches(events: Sequence[Event], epoch: str, size: int) -> list[Batch]:
    made, position = [], START
    for begin in range(0, len(events), size):
        made.append(Batch(position, epoch, tuple(events[begin : begin + size])))
        position = made[-1].end
    return made


@st.composite
def logs(draw: st.DrawFn) -> list[Event]:
    *events, end = draw(legal_logs())
    if isinstance(end, TaskEnded):
        ids = [call.id for call in end.answer.tool_calls]
        assume(len(set(ids)) == len(ids))  # no log of ours has one id twice
        end = replace(end, finish_reason=draw(REASONS))
    items = st.sampled_from(ITEMS)  # in place of any: the types of the official client know these
    return [
        *(replace(e, data=draw(items)) if isinstance(e, ItemAdded) else e for e in events),
        end,
    ]


def view_of(log: Log, *, summary: bool = False) -> ResponseView:
    request = TaskRequest(model="m", prompt="Hi.", echo={"summary": "auto"} if summary else {})
    return ResponseView(TASK, request, cast(GetTask, log))


def told(
    projection: ResponseProjection, events: Sequence[Event], size: int
) -> tuple[bytes, ResponseState]:
    state, frames = projection.begin(), b""
    for batch in batches(events, "e", size):
        more, state = Steps().step(projection, state, batch)
        frames += more
    return frames, state


def decoded(frames: bytes) -> list[dict[str, Any]]:
    read = []
    for block in frames.decode().split("\n\n")[:-1]:
        kind, data = block.split("\n")
        read.append(json.loads(data.removeprefix("data: ")))
        assert kind == f"event: {read[-1]['type']}"
    return read


@given(logs(), st.integers(1, 7), st.booleans())
def test_batches_make_no_difference_and_every_number_is_higher(
    log: list[Event], size: int, summary: bool
) -> None:
    projection = view_of(Log(log), summary=summary).projection
    whole, state = told(projection, log, 1)
    assert told(projection, log, size)[0] == whole
    events = decoded(whole)
    assert [each["sequence_number"] >> 8 for each in events] == list(range(len(events)))
    assert state.count == len(events)
    folded = projection.begin()
    for batch in batches(log, "e", size):
        folded = projection.fold(folded, batch)
    assert folded.count == state.count


@given(logs(), st.booleans(), st.data())
async def test_a_resume_behind_any_event_tells_the_rest(
    log: list[Event], summary: bool, data: st.DataObject
) -> None:
    store = Log(log)
    view = view_of(store, summary=summary)
    whole, _ = told(view.projection, log, 1)
    events = decoded(whole)
    seen = data.draw(st.integers(0, len(events) - 1))
    rest, state = await view.behind(events[seen]["sequence_number"])
    for batch in [each async for each in store.log("", state.position)]:
        more, state = Steps().step(view.projection, state, batch)
        rest += more
    assert decoded(rest) == events[seen + 1 :]


@given(logs(), st.data())
async def test_a_number_of_a_lost_end_is_told_from_the_start(
    log: list[Event], data: st.DataObject
) -> None:
    view = view_of(Log(log, "f"))
    events = decoded(told(view.projection, log, 1)[0])  # of epoch "e"
    number = data.draw(st.sampled_from(events))["sequence_number"]
    assert (await view.behind(number))[1].position == START
    assert (await view.behind(256 * len(events)))[1].position == START


@pytest.mark.soak
@settings(deadline=None)  # the SDK builds its types when they are first used
@given(logs(), st.booleans())
def test_what_openai_python_adds_up_is_the_final_object(log: list[Event], summary: bool) -> None:
    view = view_of(Log(log), summary=summary)
    whole, state = told(view.projection, log, 1)
    added_up = ResponseStreamState[Any](input_tools=omit, text_format=omit)
    events = decoded(whole)
    for each in events:
        event: Any = construct_type_unchecked(type_=cast(Any, ResponseStreamEvent), value=each)
        added_up.handle_event(event)
    final = events[-1]["response"]
    assert final == json.loads(json.dumps(view.response.at(state)))
    if final["error"]:
        final["error"]["code"] = "server_error"  # the type has OpenAI's codes only
    Response.model_validate(final)
    assert [each["id"] for each in final["output"]] == sorted(
        {each["id"] for each in final["output"]}, key=lambda id_: int(id_.rpartition("_")[2])
    )
    if state.status is TaskStatus.COMPLETED:
        answer = cast(TaskEnded, log[-1]).answer
        texts = [
            part.get("text", part.get("refusal"))
            for item in final["output"]
            for part in item.get("content", ())
            if item["type"] == "message"
        ]
        assert "".join(texts) == answer.text


@given(logs())
def test_what_a_lost_attempt_said_is_not_in_the_final_object(log: list[Event]) -> None:
    events = decoded(told(view_of(Log(log)).projection, log, 1)[0])
    done = {
        each["item"]["id"]: each["item"] for each in events if each["type"].endswith("item.done")
    }
    final = {each["id"]: each for each in events[-1]["response"]["output"]}
    assert final.items() <= done.items()
    lost = [each for id_, each in done.items() if id_ not in final]
    assert all(each["status"] == "incomplete" for each in lost if each["type"] == "message")


@given(logs())
def test_a_completed_response_has_a_call_or_a_message_with_a_part(log: list[Event]) -> None:
    final = decoded(told(view_of(Log(log)).projection, log, 1)[0])[-1]["response"]
    items = [each for each in final["output"] if each["type"] in ("message", "function_call")]
    if final["status"] == "completed":
        assert items
        assert all(each["content"] for each in items if each["type"] == "message")


async def test_a_stream_that_begins_with_the_last_attempt_leaves_out_what_was_lost() -> None:
    log: list[Event] = [
        StatusChanged(1, TaskStatus.PENDING, 0),
        StatusChanged(1, TaskStatus.RUNNING, 1),
        ContentAdded(1, "lost"),
        StatusChanged(1, TaskStatus.PENDING, 1, "lease_lapsed"),
        StatusChanged(1, TaskStatus.RUNNING, 2),
        ContentAdded(1, "kept"),
    ]
    store = Log(log)
    view = view_of(store)
    whole = decoded(told(view.projection, log, 1)[0])
    first, state = await view.last_attempt()
    rest = b""
    async for batch in store.log("", state.position):
        more, state = Steps().step(view.append_only, state, batch)
        rest += more
    begin = decoded(first)
    assert [each["type"] for each in begin] == ["response.created", "response.in_progress"]
    assert decoded(rest) == whole[whole.index(begin[1]) + 1 :]
    assert [each["delta"] for each in decoded(rest) if "delta" in each] == ["kept"]
    assert (
        decoded(told(view.append_only, log, 1)[0])[-1]["response"]["error"]["code"]
        == "attempt_lost"
    )


def test_a_failure_before_any_item_tells_an_empty_message() -> None:
    """The AI SDK repeats a request whose stream fails before its first item."""
    log: list[Event] = [
        StatusChanged(1, TaskStatus.PENDING, 0),
        StatusChanged(1, TaskStatus.FAILED, 0, "busy"),
        TaskErrored(1, "Too busy.", "busy", True),
    ]
    events = decoded(told(view_of(Log(log)).projection, log, 1)[0])
    assert [each["type"] for each in events[2:]] == [
        "response.output_item.added",
        "response.content_part.added",
        "response.output_item.done",
        "response.failed",
    ]
    assert events[-2]["item"]["status"] == "incomplete"


def test_a_completed_answer_whose_only_call_is_not_whole_tells_an_empty_message() -> None:
    cut = ToolCall(0, "call_1", "add", '{"a": ')
    log: list[Event] = [
        StatusChanged(1, TaskStatus.PENDING, 0),
        StatusChanged(1, TaskStatus.RUNNING, 1),
        ToolCallAdded(1, 0, cut.arguments, cut.id, cut.name),
        StatusChanged(1, TaskStatus.COMPLETED, 1),
        TaskEnded(1, Answer(tool_calls=(cut,)), "eos", "m", None),
    ]
    last = decoded(told(view_of(Log(log)).projection, log, 1)[0])[-1]
    assert [each["type"] for each in last["response"]["output"]] == ["message"]


@pytest.mark.parametrize(
    "kinds", ["reasoning and text", "refusals and text", "annotations", "hosted"]
)
def test_a_log_of_many_items_costs_no_more_for_each(kinds: str) -> None:
    """Each copied all that were before it: 20,000 of them took seconds."""
    note = {"type": "url_citation", "url": "https://example.org"}
    events: dict[str, list[Event]] = {
        "reasoning and text": [ReasoningAdded(1, "a"), ContentAdded(1, "b")],
        "refusals and text": [ContentAdded(1, "a", True), ContentAdded(1, "b")],
        "annotations": [ContentAdded(1, "a", annotations=(note, note))],
        "hosted": [ItemAdded(1, ITEMS[0])],
    }
    log = [*BEGUN, *events[kinds] * 10_000]
    began = time.process_time()
    told(view_of(Log(log)).projection, log, 500)
    assert time.process_time() - began < 2.5
