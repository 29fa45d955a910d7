"""The calls of tools in a UI message stream: their ids, their names and their arguments."""

import hashlib

import pytest

from domain.answer import Answer, ToolCall
from domain.events import Event, ToolCallAdded
from entrypoints.http.ai_sdk.chat_body import read_chat
from entrypoints.http.request_defaults import RequestDefaults
from tests.official.logs import KINDS, log_of
from tests.unit.test_ai_sdk_projection import TASK_ID, chunks_of, ended
from tests.unit.test_response_projection import BEGUN
from tests.unit.ui_message import UiMessage


def other_id(number: int) -> str:
    return "call_" + hashlib.sha256(f"{TASK_ID} {number} call_a".encode()).hexdigest()[:24]


def test_a_call_whose_id_the_chat_has_gets_another_one() -> None:
    calls = [{"id": "call_a", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    asked = (
        {"role": "user", "content": "Hi."},
        {"role": "assistant", "tool_calls": calls},
        {"role": "tool", "tool_call_id": "call_a", "content": "1"},
    )
    log = log_of(KINDS["one call"])
    message = UiMessage().read(chunks_of(log, prompt=None, messages=asked))
    assert message.call_ids == message.ran == [other_id(3)]
    part = {"type": "tool-f", "toolCallId": "call_a", "state": "input-available"}
    echo = {"message": {"id": "msg_1", "parts": [part]}}
    assert UiMessage().read(chunks_of(log, echo=echo)).ran == [other_id(3)]
    lost = UiMessage().read(chunks_of(log_of(KINDS["lost in a call"])))
    assert lost.call_ids == ["call_a", other_id(7)]
    assert lost.ran == [other_id(7)]


@pytest.mark.parametrize(
    "tools", [None, [], "look_up", [None, {"function": "look_up"}, {"function": {"name": 3}}]]
)
def test_a_tool_that_the_request_does_not_name_is_dynamic(tools: object) -> None:
    log = log_of(KINDS["one call"])
    options: dict[str, object] = {} if tools is None else {"tools": tools}
    named = [each for each in chunks_of(log, options=options) if "toolName" in each]
    assert [each.get("dynamic") for each in named] == [True, True]


@pytest.mark.parametrize(
    ("arguments", "given"),
    [
        ("", {}),
        ('{"a":\n 1}', {"a": 1}),
        ("[1]", [1]),
        ('{"a": ', None),
        ("NaN", None),
        ('"\\ud800"', None),
        ("[" * 100_000, None),
        ("[" * 97 + "]" * 97, None),  # the request that sends them back would be refused
        ('{"a":[{"__proto__":1}]}', None),  # the SDK refuses the chunk, and breaks off
        ('{"a":{"constructor":{"prototype":1}}}', None),
        ('{"constructor":"a"}', {"constructor": "a"}),
    ],
)
def test_arguments_are_told_as_json_or_as_an_error(arguments: str, given: object) -> None:
    call = ToolCall(0, "call_1", "f", arguments)
    pieces: list[Event] = [ToolCallAdded(1, 0, arguments, "call_1", "f")]
    log = [*BEGUN, *pieces, *ended(Answer(tool_calls=(call,)), "tool_calls")]
    part = UiMessage().read(chunks_of(log)).calls()[0]
    wanted = ("output-error", arguments) if given is None else ("input-available", given)
    assert (part["state"], part["input"]) == wanted


@pytest.mark.parametrize("arguments", ["{}", "[" * 96 + "]" * 96])
def test_a_call_can_be_sent_back_whatever_its_name_and_arguments(arguments: str) -> None:
    call = ToolCall(0, "call_1", "", arguments)
    pieces: list[Event] = [ToolCallAdded(1, 0, arguments, "call_1", None)]
    log = [*BEGUN, *pieces, *ended(Answer(tool_calls=(call,)), "tool_calls")]
    part = UiMessage().read(chunks_of(log)).calls()[0]
    sent = {"type": "dynamic-tool", "toolCallId": part["id"], "toolName": part["name"]}
    sent |= {"state": "output-available", "input": part["input"], "output": 1}
    messages = [
        {"role": "user", "parts": [{"type": "text", "text": "Hi."}]},
        {"id": "a", "role": "assistant", "parts": [sent]},
    ]
    request = read_chat({"messages": messages}, RequestDefaults(model="m")).request
    assert request.faults() == []
    [back] = request.messages[1]["tool_calls"]
    assert back["function"] == {"name": "unnamed", "arguments": arguments}
