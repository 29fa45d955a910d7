"""The decoder of a response's stream, with what servers and their enemies send."""

import json
from typing import Any

import pytest

from adapters.openai.responses.events import HELD_LIMIT, WHOLE, ResponseEvents
from adapters.openai.responses.snapshot import beyond
from application.errors import ModelRefused, ModelUnavailable
from domain.answer import Answer, OutputItem, Piece, Reasoning, Text, ToolCall, ToolCallDelta
from tests.doubles.responses_upstream import (
    call_item,
    delta,
    end_event,
    frame,
    item_event,
    message_item,
)

CREATED = {"type": "response.created", "sequence_number": 0, "response": {"id": "resp_1"}}


def _bytes(*events: dict[str, Any]) -> bytes:
    return b"".join(map(frame, events))


def _numbered(*events: dict[str, Any]) -> bytes:
    numbered = ({"sequence_number": number, **each} for number, each in enumerate(events, 1))
    return _bytes(CREATED, *numbered)


def _fault(stream: bytes) -> ModelRefused | ModelUnavailable:
    events = ResponseEvents("m", "sk-secret-key")
    events.feed(stream)
    events.end()
    with pytest.raises((ModelRefused, ModelUnavailable)) as fault:
        events.finished()
    assert isinstance(fault.value, ModelRefused | ModelUnavailable)
    return fault.value


def test_byte_by_byte_it_is_the_same() -> None:
    stream = _numbered(delta("a"), delta("b", "refusal"), delta("c"), end_event([]))
    events = ResponseEvents("m")
    pieces = [each for byte in stream for each in events.feed(bytes([byte]))]
    assert pieces == [Text("a"), Text("b", refusal=True), Text("c")]
    assert events.cursor == 3
    assert events.done


def test_a_cursor_never_covers_half_of_a_character_nor_the_end() -> None:
    events = ResponseEvents("m")
    assert events.feed(_numbered(delta("a"))) == (Text("a"),)
    assert events.cursor == 1
    half = {**delta("\ud83d"), "sequence_number": 2}
    assert events.feed(_bytes({**delta("b"), "sequence_number": 2}, half)) == ()
    assert (events.cursor, events.worked) == (1, True)
    other = {**delta("\ude00"), "sequence_number": 3}
    pieces = events.feed(_bytes(other, {**end_event([]), "sequence_number": 4}))
    assert "".join(each.text for each in pieces if isinstance(each, Text)) == "b\U0001f600"
    assert events.cursor == 3


def test_what_waits_for_the_other_half_of_a_character_does_not_wait_for_ever() -> None:
    events = ResponseEvents("m")
    events.feed(_numbered(delta("\ud83d", "reasoning_text")))
    said = [events.feed(_bytes({**delta("a"), "sequence_number": n})) for n in range(2, 70)]
    assert [bool(pieces) for pieces in said].index(True) == HELD_LIMIT - 1
    whole = [piece for pieces in said for piece in pieces]
    assert "".join(each.text for each in whole if isinstance(each, Text)) == "a" * 68
    assert events.cursor == 69


def test_without_numbers_it_can_only_be_read_as_a_whole() -> None:
    events = ResponseEvents("m")
    created = {name: value for name, value in CREATED.items() if name != "sequence_number"}
    assert events.feed(_bytes(created, delta("a"))) == (Text("a"),)
    assert events.cursor == WHOLE


@pytest.mark.parametrize("number", [-5, 2**70, 1.5, "7", None, True])
def test_a_number_that_is_none_is_no_cursor(number: object) -> None:
    events = ResponseEvents("m")
    assert events.feed(_bytes(CREATED, {**delta("a"), "sequence_number": number})) == (Text("a"),)
    assert events.cursor == 0


@pytest.mark.parametrize("told", [None, 5, "", "a/b", "..", "a" * 300, "a\n", "é"])
def test_an_id_that_could_not_stand_in_a_url_is_unreadable(told: object) -> None:
    created = {"type": "response.created", "response": {"id": told}}
    assert _fault(_bytes(created)).code == "invalid_response"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ({"type": "error", "code": "rate_limit_exceeded", "message": "m"}, "rate_limited"),
        ({"type": "error", "error": {"code": "insufficient_quota"}}, "insufficient_quota"),
        ({"error": {"type": "server_error", "message": "m"}}, "model_error"),
    ],
)
def test_errors_in_the_stream(error: dict[str, Any], code: str) -> None:
    fault = _fault(_bytes(CREATED, delta("a")) + b"data: " + json.dumps(error).encode() + b"\n\n")
    assert fault.code == code
    assert not fault.answer_ended  # the next attempt looks what has become of it


@pytest.mark.parametrize(
    ("stream", "code"),
    [
        (b"data: [1\n\n", "invalid_response"),
        (b"data: null\n\n", "invalid_response"),
        (b"<html>", "wrong_address"),
        (b'{"error": {"code": "invalid_api_key"}}', "invalid_api_key"),
        (b'{"status": "completed"}', "invalid_response"),
        (b"", "incomplete"),
        (_bytes(CREATED, delta("a")), "incomplete"),
        (
            _bytes(CREATED, {**delta("{}"), "type": "response.function_call_arguments.delta"}),
            "invalid_response",
        ),
        (_bytes(CREATED, item_event(call_item("x", "f"), 10**6)), "invalid_response"),
        (_bytes(CREATED, item_event(call_item("x", "f" * 2_000))), "invalid_response"),
        (b"data: " + b"[" * 100_000 + b"\n\n", "invalid_response"),
        (b'data: {"type": "x", "y": [' + b"1," * 200_000 + b"1]}\n\n", "invalid_response"),
    ],
)
def test_what_cannot_be_read(stream: bytes, code: str) -> None:
    assert _fault(stream).code == code


def test_a_secret_is_not_quoted() -> None:
    error = {"code": "invalid_prompt", "message": "No to sk-secret-key."}
    fault = _fault(_bytes(CREATED, end_event([], "failed", error=error)))
    assert "No to ***." in fault.message


def test_what_is_not_known_is_a_sign_of_work() -> None:
    events = ResponseEvents("m")
    assert events.feed(_bytes(CREATED)) == ()
    assert not events.worked
    assert events.feed(b": ping\n\n") + events.feed(_bytes({"type": "keepalive"})) == ()
    assert not events.worked
    assert events.feed(_bytes({"type": "response.new.delta", "delta": {"a": 1}})) == ()
    assert events.worked


def test_a_call_whose_arguments_come_only_when_it_is_done() -> None:
    called = call_item("x", "f", "{}")
    events = ResponseEvents("m")
    pieces = events.feed(_numbered(item_event(called, 1, done=True), end_event([called])))
    assert pieces == (ToolCallDelta(1, "{}", "x", "f"),)
    assert events.finished().reason == "tool_calls"


def test_an_item_that_is_too_deep_is_named_and_left_out() -> None:
    deep: dict[str, Any] = {}
    for _ in range(200):
        deep = {"a": deep}
    events = ResponseEvents("m")
    deep_item, shallow = {"type": "mcp_call", "a": deep}, {"type": "mcp_call", "id": "\ud83d"}
    stream = _numbered(item_event(deep_item, done=True), item_event(shallow, done=True))
    assert events.feed(stream) == (OutputItem({"type": "mcp_call", "id": "\ufffd"}),)
    assert events.left_out == {"output[].mcp_call"}


WHOLE_ANSWER = {
    "output": [
        {"type": "reasoning", "summary": [{"text": "r"}, {"text": "s"}], "content": []},
        {"type": "web_search_call", "id": "w"},
        message_item({"type": "output_text", "text": "ab", "annotations": [{"type": "n"}]}, "c"),
        call_item("x", "f", "{}"),
    ]
}


@pytest.mark.parametrize(
    ("said", "rest"),
    [
        (
            Answer(),
            (
                *(Reasoning("r\n\ns"), OutputItem({"type": "web_search_call", "id": "w"})),
                *(Text("abc", annotations=({"type": "n"},)), ToolCallDelta(3, "{}", "x", "f")),
            ),
        ),
        (
            Answer("a", reasoning="r\n\ns", items=({"id": "w"},)),
            (Text("bc", annotations=({"type": "n"},)), ToolCallDelta(3, "{}", "x", "f")),
        ),
        (
            Answer(
                *("abc", "", "r\n\ns", (ToolCall(7, "x", "f", "{"),), ({"type": "n"},)),
                items=({"id": "w"},),
            ),
            (ToolCallDelta(7, "}"),),
        ),
        (Answer("b"), None),
        (Answer("abcd"), None),
        (Answer(reasoning="s"), None),
        (Answer("abc", annotations=({}, {})), None),
        (Answer(tool_calls=(ToolCall(0, "y", "f", ""),)), None),
        (Answer(tool_calls=(ToolCall(0, "x", "f", "["),)), None),
        (Answer(items=({"id": "v"},)), None),
    ],
)
def test_what_a_whole_answer_has_beyond_a_part(
    said: Answer, rest: tuple[Piece, ...] | None
) -> None:
    assert beyond(WHOLE_ANSWER, said) == rest
