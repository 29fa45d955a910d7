"""Views of tasks as UI message streams: a reader goes on at any chunk, and a chat is told from the
beginning of the message that its answer continues."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from application.manage_task import GetTask
from domain.events import Event
from domain.request import TaskRequest
from entrypoints.http.ai_sdk.projection import UiProjection
from entrypoints.http.ai_sdk.ui_state import SDKS, UiState
from entrypoints.http.ai_sdk.views import UiView
from entrypoints.http.sse.checkpoints import Views
from entrypoints.http.sse.projected import Steps
from tests.official.logs import KINDS, log_of
from tests.unit.test_ai_sdk_projection import ANY_LOG, told
from tests.unit.test_response_projection import BEGUN, TASK, Log, batches
from tests.unit.ui_message import Chunk, UiMessage, decoded

TEXT = {"type": "text", "text": "Let me see."}
ANSWERED = {
    "type": "tool-look_up",
    "toolCallId": "call_1",
    "state": "output-available",
    "input": {"city": "Oslo"},
    "output": [1],
}
FAILED = {
    "type": "dynamic-tool",
    "toolName": "add",
    "toolCallId": "call_2",
    "state": "output-error",
    "rawInput": '{"a": ',
    "errorText": "No.",
}
STEP = {"type": "step-start"}
PARTS: list[Any] = [STEP, TEXT, ANSWERED, STEP, {"type": "reasoning", "text": "Hm."}, FAILED]
MESSAGE = {"id": "msg_7", "metadata": {"status": "completed", "mine": 1}, "parts": PARTS}


def view_of(log: Log, message: object = None, sdk: int = 7) -> UiView:
    echo = {"api": "ai-sdk", "sdk": sdk, "chatId": "c", **({"message": message} if message else {})}
    return UiView(TASK, TaskRequest(model="m", prompt="Hi.", echo=echo), cast(GetTask, log))


async def rest_of(
    view: UiView, log: Log, index: int, *, by_chat: bool = False
) -> list[Chunk] | None:
    found = await view.behind(index, by_chat=by_chat)
    if found is None:
        return None
    frames, state = found
    async for batch in log.log("", state.position):
        more, state = Steps().step(view.projection(by_chat=by_chat), state, batch)
        frames += more
    return decoded(frames)


def whole_of(projection: UiProjection, events: Sequence[Event]) -> list[Chunk]:
    return decoded(told(projection, list(events))[0])


def replayed(parts: object, sdk: int = 7) -> list[Chunk]:
    """The chunks of the parts of a message, without those of the answer."""
    view = view_of(Log([]), {"id": "msg_1", "parts": parts}, sdk)
    frames, _ = Steps().step(view.projection(by_chat=True), UiState(), batches(BEGUN, "e", 2)[0])
    return decoded(frames, whole=False)[1:-1]


@pytest.mark.parametrize("by_chat", [False, True])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_reader_goes_on_at_every_chunk(kind: str, by_chat: bool) -> None:
    events = log_of(KINDS[kind])
    log = Log(events)
    view = view_of(log, MESSAGE)
    whole = whole_of(view.projection(by_chat=by_chat), events)
    for index in range(len(whole)):
        assert await rest_of(view, log, index, by_chat=by_chat) == whole[index:]
    assert await view.behind(len(whole), by_chat=by_chat) is None
    assert await view.behind(len(whole) + 9, by_chat=by_chat) is None


@pytest.mark.soak
@given(ANY_LOG, st.integers(1, 5), st.booleans(), st.data())
async def test_a_reader_of_an_unfinished_log_goes_on_behind_its_last_chunk(
    events: list[Event], size: int, by_chat: bool, data: st.DataObject
) -> None:
    length = data.draw(st.integers(1, len(events) - 1))
    log = Log(events[:length], size=size)
    view = view_of(log, MESSAGE)
    projection = view.projection(by_chat=by_chat)
    frames, state = told(projection, events[:length])
    seen = len(decoded(frames, whole=False))
    assert await view.behind(seen, by_chat=by_chat) == (b"", state)
    assert await view.behind(seen + 1, by_chat=by_chat) is None
    log.batches = batches(events, "e", size)
    assert await rest_of(view, log, seen, by_chat=by_chat) == whole_of(projection, events)[seen:]


async def test_a_log_without_an_event_has_only_its_beginning() -> None:
    view = view_of(Log([]), MESSAGE)
    assert await view.behind(0, by_chat=True) == (b"", UiState())
    assert await view.behind(1, by_chat=True) is None


async def test_a_log_that_lost_its_end_is_told_as_it_is_now() -> None:
    log = Log(log_of(KINDS["reasoning"]))
    view = view_of(log)
    assert await view.behind(20, by_chat=False) is None
    now = log_of((*KINDS["text"][:-1] * 9, "stop"))
    log.batches = batches(now, "f", 3)
    for index in (20, 3):
        whole = whole_of(view.projection(by_chat=False), now)
        assert await rest_of(view, log, index) == whole[index:]


async def test_a_fold_is_made_once_and_goes_on_from_where_it_was() -> None:
    log = Log(log_of((*KINDS["text"][:-1] * 3_000, "stop")), size=500)
    view = view_of(log)
    await view.behind(9_000, by_chat=False)
    read = log.reads
    await view.behind(8_500, by_chat=False)
    assert log.reads - read < 3_000


def test_a_chat_is_told_from_the_beginning_of_its_message() -> None:
    events = log_of(KINDS["text"])
    view = view_of(Log(events), MESSAGE)
    assert view.chat_id == "c"
    of_chat = UiMessage().read(whole_of(view.projection(by_chat=True), events))
    of_task = UiMessage().read(whole_of(view.projection(by_chat=False), events))
    assert of_chat.id == of_task.id == "msg_7"
    assert of_chat.metadata == {**of_task.metadata, "mine": 1}
    assert of_chat.parts[-2:] == of_task.parts
    assert not of_chat.ran, "the page would run its tools again"
    assert of_chat.parts[:-2] == [
        STEP,
        TEXT,
        {
            "type": "tool",
            "id": "call_1",
            "name": "look_up",
            "dynamic": False,
            "raw": '{"city":"Oslo"}',
            "state": "output-available",
            "output": [1],
        },
        STEP,
        {"type": "reasoning", "text": "Hm."},
        {
            "type": "tool",
            "id": "call_2",
            "name": "add",
            "dynamic": True,
            "raw": "",
            "state": "output-error",
            "input": '{"a": ',
        },
    ]


def test_without_an_earlier_message_both_streams_are_one() -> None:
    view = view_of(Log([]))
    assert view.projection(by_chat=True) is view.projection(by_chat=False)


@pytest.mark.parametrize(
    "part",
    [
        {"type": "file", "url": "data:,", "mediaType": "text/plain"},
        {"type": "source-url", "sourceId": "1", "url": "https://example.org"},
        {"type": "source-document", "sourceId": "1", "mediaType": "a/b", "title": "T"},
        {"type": "data-weather", "id": "w", "data": {"sun": True}},
    ],
)
def test_other_parts_of_a_message_are_told_as_they_are(part: Chunk) -> None:
    for sdk in SDKS:
        assert replayed([STEP, part], sdk) == [
            {"type": "start-step"},
            part,
            {"type": "finish-step"},
        ]


def test_what_a_version_does_not_know_is_not_told_to_it() -> None:
    custom = {"type": "custom", "kind": "a.b"}
    assert custom in replayed([custom], 7)
    assert custom not in replayed([custom], 6)
    denied = {**ANSWERED, "state": "output-denied"}
    assert {"type": "tool-output-denied", "toolCallId": "call_1"} in replayed([denied], 6)
    types = [each["type"] for each in replayed([denied], 5)]
    assert types == ["tool-input-start", "tool-input-delta", "finish-step"]


def test_a_call_without_an_output_is_told_without_being_run() -> None:
    for state in ("input-streaming", "input-available", "approval-requested"):
        types = [each["type"] for each in replayed([{**ANSWERED, "state": state}])]
        assert types == ["tool-input-start", "tool-input-delta", "finish-step"]


@pytest.mark.parametrize(
    "part",
    [
        None,
        {},
        {"type": 3},
        {"type": "file", "url": 3},
        {"type": "source-unheard"},
        {"type": "data-x"},
        {"type": "tool-f"},
        {"type": "dynamic-tool", "toolCallId": "c", "toolName": 3},
    ],
)
def test_a_part_that_no_client_could_read_is_left_out(part: object) -> None:
    assert replayed([part]) == []


async def test_views_that_hold_much_of_a_message_are_dropped() -> None:
    long = {"type": "text", "text": "x" * 6_000_000}
    views = Views(cast(GetTask, None), UiView)
    request = TaskRequest(
        model="m",
        prompt="Hi.",
        echo={"api": "ai-sdk", "message": {"id": "m", "parts": [long]}},
    )
    made = [views.of_started(replace(TASK, id=f"t{n}"), request) for n in range(4)]
    assert views.of_started(replace(TASK, id="t3"), request) is made[3]
    assert views.of_started(replace(TASK, id="t0"), request) is not made[0]
