"""The demo model: on request it reasons, calls a tool, answers by schema, and says what it was
sent."""

import json
from dataclasses import replace
from typing import Any

import pytest

from adapters.demo import MODEL_NAME, DemoModel
from application.errors import ContinuationLost
from application.ports import Finished, Resumption
from application.transcript import Transcript
from domain.answer import Answer, Piece, Reasoning, Text, ToolCallDelta
from domain.request import TaskRequest

LABEL = "> **Demo model.**"
ASKED = TaskRequest(model="m", prompt="Is {this} a\ntrap?")


async def _said(request: TaskRequest) -> tuple[Answer, Finished, list[Piece]]:
    request.check()
    items = [each async for each in DemoModel(tokens_per_second=0).stream(request)]
    end = items.pop()
    assert isinstance(end, Finished)
    assert end.model == MODEL_NAME
    pieces = [piece for each in items if isinstance(each, tuple) for piece in each]
    transcript = Transcript("T", 1_000_000)
    transcript.events(pieces, 1)
    return transcript.answer(), end, pieces


def _function(name: str, **properties: Any) -> dict[str, Any]:
    parameters = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


TOOLS = [
    {"type": "custom", "custom": {"name": "sql"}},
    _function("get_weather", city={"type": "string"}, unit={"enum": ["celsius", "kelvin"]}),
    _function("search", query={"type": "string"}),
]


async def test_it_says_what_it_is_and_what_it_was_asked() -> None:
    answer, end, _ = await _said(ASKED)
    assert answer.text.startswith(LABEL)
    assert "Is {this} a trap?" in answer.text
    assert not answer.reasoning
    assert not answer.tool_calls
    assert end.reason == "stop"
    assert (await _said(ASKED))[0] == answer


@pytest.mark.parametrize("effort", ["minimal", "high"])
async def test_it_reasons_on_request(effort: str) -> None:
    answer, end, pieces = await _said(replace(ASKED, options={"reasoning_effort": effort}))
    reasoned = [each for each in pieces if isinstance(each, Reasoning)]
    assert pieces[: len(reasoned)] == reasoned
    assert "Is {this} a trap?" in answer.reasoning
    assert answer.text == (await _said(ASKED))[0].text
    assert end.usage is not None
    assert end.usage.reasoning_tokens == len(reasoned) > 1
    assert end.usage.completion_tokens == len(pieces)


@pytest.mark.parametrize("effort", ["none", None])
async def test_it_reasons_on_request_only(effort: str | None) -> None:
    answer, end, _ = await _said(replace(ASKED, options={"reasoning_effort": effort}))
    assert not answer.reasoning
    assert end.usage is not None
    assert end.usage.reasoning_tokens is None


@pytest.mark.parametrize(
    ("choice", "name", "arguments"),
    [
        ("auto", "get_weather", {"city": "Paris", "unit": "celsius"}),
        ("required", "get_weather", {"city": "Paris", "unit": "celsius"}),
        (
            {"type": "function", "function": {"name": "search"}},
            "search",
            {"query": "Is {this} a trap?"},
        ),
        (
            {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "auto", "tools": [TOOLS[2]]},
            },
            "search",
            {"query": "Is {this} a trap?"},
        ),
    ],
)
async def test_it_calls_a_tool(choice: object, name: str, arguments: dict[str, str]) -> None:
    options = {"tools": TOOLS, "tool_choice": choice}
    answer, end, pieces = await _said(replace(ASKED, options=options))
    [call] = answer.tool_calls
    assert (call.id, call.name, json.loads(call.arguments)) == ("call_demo_1", name, arguments)
    assert sum(isinstance(each, ToolCallDelta) for each in pieces) > 2
    assert end.reason == "tool_calls"
    assert answer.text.startswith(LABEL)


@pytest.mark.parametrize(
    "options",
    [
        {"tools": TOOLS, "tool_choice": "none"},
        {"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "x"}}},
        {"tools": TOOLS[:1]},
        *({"tools": each} for each in ([], None, "x", [None, {}, {"function": {"name": 5}}])),
    ],
)
async def test_without_a_tool_to_call_it_answers(options: dict[str, Any]) -> None:
    answer, end, _ = await _said(replace(ASKED, options=options))
    assert not answer.tool_calls
    assert answer.text == (await _said(ASKED))[0].text
    assert end.reason == "stop"


async def test_it_is_told_what_a_tool_returned_and_says_so() -> None:
    request = replace(ASKED, options={"tools": TOOLS})
    [call] = (await _said(request))[0].tool_calls
    called = {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
        ],
    }
    told = {"role": "tool", "tool_call_id": call.id, "content": [{"type": "text", "text": "18 °C"}]}
    asked = {"role": "user", "content": "How warm is it?"}
    after = replace(request, prompt=None, messages=(asked, called, told))
    answer, end, _ = await _said(after)
    assert answer.text.startswith(LABEL)
    assert "- `get_weather`: 18 °C" in answer.text
    assert end.reason == "stop"
    # The next question may be answered by another call, which has an id of its own.
    again = replace(request, history=(asked, called, told))
    assert (await _said(again))[0].tool_calls[0].id == "call_demo_2"


async def test_it_answers_in_json_on_request() -> None:
    schema = TOOLS[1]["function"]["parameters"]
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": schema}}
    answer, _, pieces = await _said(replace(ASKED, options={"response_format": wanted}))
    assert json.loads(answer.text) == {"city": "Paris", "unit": "celsius"}
    assert len(pieces) > 2
    options = {"response_format": {"type": "json_object"}}
    answer, _, _ = await _said(replace(ASKED, options=options))
    assert json.loads(answer.text)["question"] == "Is {this} a trap?"
    for kind in ({"type": "text"}, {"type": "json_schema"}, {}, None):
        answer, _, _ = await _said(replace(ASKED, options={"response_format": kind}))
        assert answer.text


async def test_it_says_what_it_was_sent() -> None:
    content = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAAAA=="}},
        {"type": "image_url", "image_url": {"url": "https://e.example/cat.jpg"}},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:x/y;base64,AAAA"}},
        {"type": "file", "file": {"file_id": "file-1"}},
        {"type": "hologram"},
    ]
    history = ({"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes?"})
    messages = ({"role": "user", "content": content},)
    answer, _, _ = await _said(TaskRequest(model="m", history=history, messages=messages))
    for line in (
        "You asked: What is this?",
        "You sent an image (image/png, 4 bytes).",
        "You sent an image (`https://e.example/cat.jpg`).",
        "You sent a recording (wav, 3 bytes).",
        "You sent a file (`a.pdf`, x/y, 3 bytes).",
        "You sent a file (`file-1`).",
        "You sent a part of type `hologram`.",
        "This conversation has 2 messages before that.",
    ):
        assert line in answer.text.splitlines()


@pytest.mark.parametrize("most", [1, 5, 40])
async def test_it_keeps_to_the_length(most: int) -> None:
    options = {"reasoning_effort": "low", "tools": TOOLS}
    whole = (await _said(replace(ASKED, options=options)))[2]
    _, end, pieces = await _said(replace(ASKED, options=options, max_tokens=most))
    assert pieces == whole[:most]
    assert end.reason == "length"
    assert any(isinstance(each, Text) for each in whole)


async def test_it_goes_on_from_any_place_but_a_call() -> None:
    model = DemoModel(tokens_per_second=0)
    options = {"reasoning_effort": "low", "tools": TOOLS}
    request = replace(ASKED, options=options, max_tokens=60)
    whole, _, pieces = await _said(request)
    assert whole.reasoning
    assert whole.text
    for cut in range(1, len(pieces) + 1):
        before = Transcript("T", 1_000_000)
        before.events(pieces[:cut], 1)
        said = before.answer()
        if said.tool_calls:
            assert not model.goes_on(request, said)
            continue
        assert model.goes_on(request, said)
        assert not model.goes_on(replace(request, prefill=False), said)
        items = [each async for each in model.stream(request, Resumption("key", said))]
        before.events([each for item in items if isinstance(item, tuple) for each in item], 1)
        assert before.answer() == whole
    other = Answer(whole.text[:5], reasoning=whole.reasoning[:-1])
    assert not model.goes_on(request, Answer())
    for said in (Answer("No."), other, whole):
        with pytest.raises(ContinuationLost):
            await anext(model.stream(request, Resumption("key", said)))
