"""From the messages of a page to those of chat completions."""

import time
from typing import Any

import pytest
from litestar.plugins.problem_details import ProblemDetailsException
from openai.types.chat import ChatCompletionMessageParam
from pydantic import TypeAdapter

from entrypoints.http.ai_sdk.chat_body import ChatAsked, read_chat
from entrypoints.http.ai_sdk.ui_messages import visible
from entrypoints.http.request_defaults import RequestDefaults
from tests.told_faults import told_faults

DEFAULTS = RequestDefaults(model="m")
HI = {"role": "user", "parts": [{"type": "text", "text": "Hi."}]}
SAID = {"role": "user", "content": "Hi."}
STEP = {"type": "step-start"}
PNG = "data:image/png;base64,cGl4ZWw="
WEB = "https://example.com/a"


def text(value: Any) -> dict[str, Any]:
    return {"type": "text", "text": value, "state": "done", "providerMetadata": {"a": {"b": 1}}}


def file(media_type: Any, url: Any, **more: Any) -> dict[str, Any]:
    return {"type": "file", "mediaType": media_type, "url": url, **more}


def tool(state: str = "output-available", **more: Any) -> dict[str, Any]:
    given = {"input": {"a": 1}, "output": "2"} if state == "output-available" else {}
    return {"type": "tool-add", "toolCallId": "c1", "state": state, **given, **more}


def user(*parts: Any) -> dict[str, Any]:
    return {"id": "u", "role": "user", "parts": list(parts)}


def assistant(*parts: Any) -> dict[str, Any]:
    return {"id": "a", "role": "assistant", "parts": list(parts)}


def asked(*messages: Any) -> ChatAsked:
    return read_chat({"messages": list(messages)}, DEFAULTS)


def read(*messages: Any) -> list[Any]:
    request = asked(*messages).request
    assert request.faults() == []
    for each in request.messages:
        TypeAdapter(ChatCompletionMessageParam).validate_python(each)
    return list(request.messages)


def faults(*messages: Any) -> dict[str, str]:
    with pytest.raises(ProblemDetailsException) as refused:
        asked(*messages)
    return told_faults(refused.value)


def later_faults(*messages: Any) -> list[str]:
    """What the use case finds, by the names that the client wrote."""
    found = asked(*messages)
    return [found.param_of(each.field) for each in found.request.faults()]


def called(arguments: str = '{"a":1}', content: str | None = None) -> dict[str, Any]:
    function = {"name": "add", "arguments": arguments}
    call = {"id": "c1", "type": "function", "function": function}
    return {"role": "assistant", "content": content, "tool_calls": [call]}


def result(content: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": "c1", "content": content}


def test_one_text_of_a_user_is_a_string_and_several_are_parts() -> None:
    parts = [{"type": "text", "text": "A"}, {"type": "text", "text": "B"}]
    assert read(user(text("A")), user(text("A"), text("B"))) == [
        {"role": "user", "content": "A"},
        {"role": "user", "content": parts},
    ]


def test_the_texts_of_the_system_are_one() -> None:
    system = {"role": "system", "parts": [text("A"), text("B")]}
    assert read(system, HI) == [{"role": "system", "content": "AB"}, SAID]


def test_a_file_becomes_what_chat_completions_call_it() -> None:
    parts = [
        text(""),
        file("image/png", PNG, filename="a.png"),
        file("image", WEB),
        file("Audio/WAV; rate=1", "data:audio/wav;base64,cGl4ZWw%3D"),
        file("audio/mpeg", "data:audio/mpeg;base64,cGl4"),
        file("application/pdf", "data:application/pdf;base64,cGl4", filename="a.pdf"),
        file("application/pdf", "data:application/pdf;base64,cGl4"),
        file("", "data:application/octet-stream;base64,cGl4"),
    ]
    assert read(user(*parts))[0]["content"] == [
        {"type": "image_url", "image_url": {"url": PNG}},
        {"type": "image_url", "image_url": {"url": WEB}},
        {"type": "input_audio", "input_audio": {"data": "cGl4ZWw=", "format": "wav"}},
        {"type": "input_audio", "input_audio": {"data": "cGl4", "format": "mp3"}},
        {
            "type": "file",
            "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,cGl4"},
        },
        {
            "type": "file",
            "file": {"filename": "file.pdf", "file_data": "data:application/pdf;base64,cGl4"},
        },
        {
            "type": "file",
            "file": {
                "filename": "file",
                "file_data": "data:application/octet-stream;base64,cGl4",
            },
        },
    ]


def test_an_audio_of_megabytes_of_escapes_costs_little() -> None:
    escaped = file("audio/wav", "data:audio/wav;base64," + "%2B" * 2_000_000)
    wrong = file("audio/wav", "data:audio/wav," + "%41" * 2_000_000)
    began = time.process_time()
    assert read(user(escaped))[0]["content"][0]["input_audio"]["data"] == "+" * 2_000_000
    assert list(faults(user(wrong))) == ["messages[0].parts[0].url"]
    assert time.process_time() - began < 0.5


def test_a_file_that_cannot_be_passed_on_is_refused_by_name() -> None:
    assert list(
        faults(
            user(
                file("application/pdf", WEB),
                file("audio/wav", "data:audio/wav;base64,?"),
                file("image/png", "http://example.com"),
                file("image/png", PNG, providerReference={"openai": "file-1"}),
                file(None, 1, filename=2),
            ),
            assistant(file("image/png", WEB)),
        )
    ) == [
        "messages[0].parts[0].url",
        "messages[0].parts[1].url",
        "messages[0].parts[3].providerReference",
        "messages[0].parts[4].mediaType",
        "messages[0].parts[4].url",
        "messages[0].parts[4].filename",
        "messages[1].parts[0].type",
        "messages[0].parts[2].url",
    ]


def test_a_picture_that_a_hosted_tool_made_is_left_out() -> None:
    item = {"type": "data-item", "data": {"type": "image_generation_call", "result": None}}
    parts = [STEP, item, file("image/png", PNG), text("A cat.")]
    assert read(HI, assistant(*parts), HI)[1] == {"role": "assistant", "content": "A cat."}


def test_each_step_of_the_assistant_is_a_message_with_the_results_behind_it() -> None:
    steps = [
        STEP,
        {"type": "reasoning", "text": "Hm."},
        {"type": "reasoning-file", "mediaType": "image/png", "url": PNG},
        text("I "),
        tool(),
        text("add."),
        STEP,
        {"type": "source-url", "sourceId": "s", "url": WEB},
        STEP,
        text("Two."),
        {"type": "data-x", "data": 1},
    ]
    assert read(HI, assistant(*steps), HI) == [
        SAID,
        called(content="I add."),
        result("2"),
        {"role": "assistant", "content": "Two."},
        SAID,
    ]


@pytest.mark.parametrize(
    ("part", "arguments", "content"),
    [
        (tool(output={"é": [1, None]}), '{"a":1}', '{"é":[1,null]}'),
        (tool(output=""), '{"a":1}', ""),
        (tool(output=None, input=None), "{}", "null"),
        (tool("output-error", errorText="No.", input={}), "{}", "No."),
        (tool("output-error", errorText="No.", rawInput='{"a'), '"{\\"a"', "No."),
        (tool("output-denied", input=[], approval={"id": "x", "reason": "Why?"}), "[]", "Why?"),
        (tool("output-denied", input="s"), '"s"', "Tool call execution denied."),
        ({**tool(), "type": "dynamic-tool", "toolName": "add"}, '{"a":1}', "2"),
    ],
)
def test_a_tool_part_becomes_a_call_and_its_result(
    part: dict[str, Any], arguments: str, content: str
) -> None:
    assert read(HI, assistant(part)) == [SAID, called(arguments), result(content)]


@pytest.mark.parametrize(
    "state", ["input-streaming", "input-available", "approval-requested", "approval-responded"]
)
def test_a_call_without_a_result_is_left_out(state: str) -> None:
    assert read(HI, assistant(STEP, tool(state, input={"a": 1}))) == [SAID]


def test_what_a_lost_attempt_said_does_not_count() -> None:
    reset = {"type": "data-reset-step", "data": {"attempt": 2}}
    parts = [STEP, text("A"), STEP, text("lost"), tool(), reset, text("B"), reset, text("C")]
    assert visible(parts) == [0, 1, 2, 8]
    assert visible([text("lost"), 1, reset, text("A")]) == [3]
    assert [each["content"] for each in read(HI, assistant(*parts))[1:]] == ["A", "C"]


def test_everything_that_is_wrong_is_named() -> None:
    assert faults(
        1,
        {},
        {"id": 1, "role": "tool", "parts": {}},
        user("x", {}, {"type": 1}, {"type": "custom"}, text(None)),
        {"role": "system", "parts": [file("image/png", PNG)]},
        assistant(
            {"type": "tool-"},
            {**tool("output-error"), "toolCallId": ""},
            {**tool("done"), "type": "dynamic-tool"},
            {"type": "reasoning"},
            tool("output-denied", approval={"reason": 1}),
        ),
    ) == {
        "messages[0]": "must be an object",
        "messages[1].role": "is required",
        "messages[1].parts": "is required",
        "messages[2].id": "must be a string",
        "messages[2].role": 'must be one of "system", "user", "assistant"',
        "messages[2].parts": "must be an array",
        "messages[3].parts[0]": "must be an object",
        "messages[3].parts[1].type": "is required",
        "messages[3].parts[2].type": "must be a string",
        "messages[3].parts[3].type": '"custom" cannot be passed on in a message of the user',
        "messages[3].parts[4].text": "is required",
        "messages[4].parts[0].type": '"file" cannot be passed on in a message of the system',
        "messages[5].parts[0].type": "must end in the name of a tool",
        "messages[5].parts[0].toolCallId": "is required",
        "messages[5].parts[0].state": "is required",
        "messages[5].parts[1].toolCallId": "must not be empty",
        "messages[5].parts[1].errorText": "is required",
        "messages[5].parts[2].toolName": "is required",
        "messages[5].parts[2].state": "must be one of "
        '"input-streaming", "input-available", "approval-requested", "approval-responded", '
        '"output-available", "output-error", "output-denied"',
        "messages[5].parts[3].text": "is required",
        "messages[5].parts[4].approval.reason": "must be a string",
    }


def test_what_the_use_case_refuses_has_the_name_that_the_page_wrote() -> None:
    http = file("image/png", "http://example.com")
    assert later_faults(HI, assistant(STEP, text("A"), tool()), user(text("A"), http)) == [
        "messages[2].parts[1].url"
    ]
    assert later_faults(user(text(" ")), user(), user({"type": "data-x", "data": 1})) == [
        "messages[0].parts",
        "messages[1].parts",
        "messages[2].parts",
    ]
    deep: list[Any] = []
    for _ in range(98):
        deep = [deep]
    assert later_faults(HI, assistant(tool(output=deep))) == ["messages"]


def test_values_that_are_nested_too_deep_are_named() -> None:
    deep: list[Any] = []
    for _ in range(200):
        deep = [deep]
    assert list(faults(HI, assistant(tool(output=deep, input=deep)))) == [
        "messages[1].parts[0].input",
        "messages[1].parts[0].output",
    ]
