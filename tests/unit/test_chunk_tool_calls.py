"""Calls of tools, as servers of today send them."""

from typing import Any

import pytest

from adapters.openai.chunks import ChunkStream
from adapters.openai.tool_calls import NAME_LIMIT
from application.errors import ModelUnavailable
from application.transcript import Transcript
from domain.answer import AnswerBuilder, ToolCall
from domain.events import add_piece
from tests.doubles.upstream import DONE, call, delta, event, finish

PARIS, ROME = '{"city": "Paris"}', '{"city": "Rome"}'


def _said(index: object = None, **fields: Any) -> dict[str, Any]:
    """A delta of a call, with `name` and `arguments` inside its function."""
    function = {name: fields.pop(name) for name in ("name", "arguments") if name in fields}
    given = {} if index is None else {"index": index}
    return {**given, **fields, "function": function}


def _calls(*deltas: list[dict[str, Any]] | bytes, reason: str = "stop") -> list[ToolCall]:
    """The calls that a task keeps of a stream with these deltas."""
    body = [each if isinstance(each, bytes) else delta(tool_calls=each) for each in deltas]
    stream, transcript, answer = ChunkStream("m"), Transcript("T", 10_000), AnswerBuilder()
    for data in (*body, finish(reason), DONE):
        for each in transcript.events(stream.feed(data), 1):
            add_piece(answer, each)
    assert stream.finished().reason == reason
    return list(answer.answer().tool_calls)


ONE = [ToolCall(0, "a", "get", PARIS)]
TWO = [*ONE, ToolCall(1, "b", "get", ROME)]
BEGIN, END = PARIS[:6], PARIS[6:]
STREAMS: dict[str, tuple[list[Any], list[ToolCall]]] = {
    "OpenAI": ([call(0, "", "a", "get"), call(0, BEGIN), call(0, END)], ONE),
    "OpenAI, two at once": (
        [
            *(call(0, "", "a", "get"), call(1, "", "b", "get")),
            *(call(1, ROME[:5]), call(0, BEGIN), call(1, ROME[5:]), call(0, END)),
        ],
        TWO,
    ),
    "nulls": (
        [
            *(call(0, "", "a", "get"), [_said(0, id=None, name=None, arguments=BEGIN)]),
            [{"index": 0, "id": None, "function": {"arguments": END}, "type": None}],
        ],
        ONE,
    ),
    "an empty id later (older vLLM)": (
        [call(0, "", "a", "get"), [_said(0, id="", arguments=BEGIN)], call(0, END)],
        ONE,
    ),
    "id and name in every delta": (
        [[_said(0, id="a", name="get", arguments=each)] for each in ("", BEGIN, END)],
        ONE,
    ),
    "id and name in every delta, no index": (
        [[_said(id="a", name="get", arguments=each)] for each in ("", BEGIN, END)],
        ONE,
    ),
    "a new id for every delta": (
        [
            [_said(0, id="a", name="get", arguments=BEGIN)],
            [_said(0, id="x", name="get", arguments=END[:-1])],
            [_said(0, id="y", name="get", arguments=END[-1])],
        ],
        ONE,
    ),
    "a new id for every delta, the name once": (
        [
            [_said(0, id="a", name="get")],
            [_said(0, id="x", arguments=BEGIN)],
            [_said(0, id="y", arguments=END)],
        ],
        ONE,
    ),
    "the name in pieces": (
        [call(0, "", "a", "g"), [_said(0, name="e")], [_said(0, name="t")], call(0, PARIS)],
        ONE,
    ),
    "Gemini: whole calls without an index": (
        [
            [_said(id="a", name="get", arguments=PARIS, type="function")],
            [_said(id="b", name="get", arguments=ROME, type="function")],
        ],
        TWO,
    ),
    "whole calls without an index in one delta": (
        [[_said(id="a", name="get", arguments=PARIS), _said(id="b", name="get", arguments=ROME)]],
        TWO,
    ),
    "pieces without an index": (
        [
            *([_said(id="a", name="get")], [_said(arguments=BEGIN)], [_said(arguments=END)]),
            *([_said(id="b", name="get")], [_said(arguments=ROME)]),
        ],
        TWO,
    ),
    "every call is index 0 (SGLang)": (
        [
            *([_said(0, id="a", name="get")], [_said(0, id="a", arguments=PARIS)]),
            *([_said(0, id="b", name="get")], [_said(0, id="b", arguments=ROME)]),
        ],
        TWO,
    ),
    "every call is index 0 (vLLM)": (
        [
            *([_said(0, id="a", name="get", arguments="")], [_said(0, id="", arguments=PARIS)]),
            *([_said(0, id="b", name="get", arguments="")], [_said(0, id="", arguments=ROME)]),
        ],
        TWO,
    ),
    "whole calls of index 0": (
        [
            [_said(0, id="a", name="get", arguments=PARIS)],
            [_said(0, id="b", name="get", arguments=ROME)],
        ],
        TWO,
    ),
    "back to the first of two calls of index 0": (
        [
            *([_said(0, id="a", name="get", arguments=BEGIN)], [_said(0, id="b", name="put")]),
            *([_said(0, id="a", arguments=END)], [_said(0, id="b", arguments=ROME)]),
        ],
        [*ONE, ToolCall(1, "b", "put", ROME)],
    ),
    "index 0 twice, then 1": (
        [
            [_said(0, id="a", name="get", arguments=PARIS)],
            [_said(0, id="b", name="get", arguments=ROME)],
            [_said(1, id="c", name="put", arguments="{}")],
        ],
        [*TWO, ToolCall(2, "c", "put", "{}")],
    ),
    "arguments as an object": (
        [[_said(0, id="a", name="get", arguments={"city": "Paris"})]],
        ONE,
    ),
    "no id at all": (
        [[_said(0, name="get", arguments=PARIS)], [_said(1, name="get", arguments=ROME)]],
        [ToolCall(0, "call_T_0", "get", PARIS), ToolCall(1, "call_T_1", "get", ROME)],
    ),
    "neither id nor index": (
        [[_said(name="get", arguments=PARIS)], [_said(name="get", arguments=ROME)]],
        [ToolCall(0, "call_T_0", "get", PARIS), ToolCall(1, "call_T_1", "get", ROME)],
    ),
    "the id of another call": (
        [[_said(0, id="a", name="get", arguments=PARIS), _said(1, id="a", name="get")]],
        [*ONE, ToolCall(1, "call_T_1", "get", "")],
    ),
    "an id after the first delta": (
        [[_said(0, name="get")], [_said(0, id="a", arguments=PARIS)]],
        [ToolCall(0, "call_T_0", "get", PARIS)],
    ),
    "an id that is a number": ([[_said(0, id=7, name="get")]], [ToolCall(0, "7", "get", "")]),
    "a custom tool": (
        [
            [{"index": 0, "id": "a", "type": "custom", "custom": {"name": "get", "input": "SE"}}],
            [{"index": 0, "custom": {"input": "LECT 1"}}],
        ],
        [ToolCall(0, "a", "get", "SELECT 1")],
    ),
    "functions, which OpenAI has replaced": (
        [
            delta(function_call={"name": "get", "arguments": ""}),
            delta(function_call={"name": "get", "arguments": BEGIN}),
            delta(function_call={"arguments": END}),
        ],
        [ToolCall(0, "call_T_0", "get", PARIS)],
    ),
    "both forms": (
        [
            event(
                {
                    "choices": [
                        {
                            "delta": {
                                "tool_calls": [_said(0, id="a", name="get", arguments=PARIS)],
                                "function_call": {"name": "get", "arguments": PARIS},
                            }
                        }
                    ]
                }
            )
        ],
        ONE,
    ),
    "surrogates": (
        [[_said(0, id="a\ud83d", name="g\ud83d\ude00", arguments={"a": "\ud83d\ude00"})]],
        [ToolCall(0, "a\ufffd", "g\U0001f600", '{"a": "\U0001f600"}')],
    ),
    "an index after the first delta": (
        [[_said(id="a", name="get")], [_said(0, arguments=PARIS)]],
        ONE,
    ),
    "nonsense": ([[5, None, "x"], [{}], {"index": 0}], [ToolCall(0, "call_T_0", "", "")]),
}


@pytest.mark.parametrize("reason", ["tool_calls", "stop"])
@pytest.mark.parametrize("server", STREAMS)
def test_the_calls_of_a_stream(server: str, reason: str) -> None:
    deltas, calls = STREAMS[server]
    assert _calls(*deltas, reason=reason) == calls


@pytest.mark.parametrize("index", [-1, 10**30, 1.5, "0", None, True, [], 10_001])
def test_an_index_that_is_none_counts_as_left_out(index: object) -> None:
    first = {"index": index, "id": "a", "function": {"name": "get", "arguments": BEGIN}}
    rest = {"index": index, "function": {"arguments": END}}
    assert _calls([first], [rest], [{**_said(id="b", name="get", arguments=ROME)}]) == TWO


def test_an_index_that_begins_above_0_is_kept() -> None:
    assert _calls(call(3, PARIS, "a", "get"), call(3, " ")) == [
        ToolCall(3, "a", "get", PARIS + " ")
    ]


def test_a_name_without_end_makes_the_answer_unreadable() -> None:
    stream = ChunkStream("m")
    for number in range(NAME_LIMIT):
        stream.feed(delta(tool_calls=[_said(0, name=f"{number}")]))
    assert stream.done
    with pytest.raises(ModelUnavailable) as fault:
        stream.finished()
    assert fault.value.code == "invalid_response"
