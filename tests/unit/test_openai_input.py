"""From the items of a response's input to the messages of chat completions."""

from typing import Any

import pytest
from litestar.plugins.problem_details import ProblemDetailsException
from openai.types.chat import ChatCompletionMessageParam
from pydantic import TypeAdapter

from domain.messages import Message
from entrypoints.http.openai.input_messages import references_of
from entrypoints.http.openai.response_request import read_response_request
from entrypoints.http.request_defaults import RequestDefaults
from tests.told_faults import told_faults

PIXEL = "data:image/png;base64,cGl4ZWw="
CALL = {"type": "function_call", "call_id": "c1", "name": "add", "arguments": '{"a":1}'}
OTHER_CALL = {**CALL, "call_id": "c2"}
RESULT = {"type": "function_call_output", "call_id": "c1", "output": "2"}
DEFAULTS = RequestDefaults(model="m")


def chat_call(call_id: str, arguments: str = '{"a":1}') -> dict[str, Any]:
    function = {"name": "add", "arguments": arguments}
    return {"id": call_id, "type": "function", "function": function}


def messages(*items: Any, resolved: dict[str, Message | None] | None = None) -> list[Message]:
    asked = read_response_request({"input": list(items)}, DEFAULTS, resolved)
    assert asked.request.faults() == []
    read = list(asked.request.messages)
    for each in read:
        TypeAdapter(ChatCompletionMessageParam).validate_python(each)
    return read


def faults(*items: Any) -> dict[str, str]:
    with pytest.raises(ProblemDetailsException) as refused:
        read_response_request({"input": list(items)}, DEFAULTS)
    return told_faults(refused.value)


def later_faults(*items: Any) -> list[str]:
    """What the use case finds, by the names that the client wrote."""
    asked = read_response_request({"input": list(items)}, DEFAULTS)
    return [asked.param_of(each.field) for each in asked.request.faults()]


def user(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "content": list(parts)}


def assistant(text: str, **more: Any) -> dict[str, Any]:
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {"type": "message", "role": "assistant", "content": [part], **more}


@pytest.mark.parametrize("role", ["user", "system", "developer", "assistant"])
def test_a_message_with_or_without_a_type_is_a_message(role: str) -> None:
    plain = {"role": role, "content": "Hi."}
    typed = {**plain, "type": "message", "id": "msg_1", "status": "completed"}
    assert messages(plain, typed) == [plain, plain]


def test_parts_have_the_names_of_chat_completions() -> None:
    content = user(
        {"type": "input_text", "text": "Look."},
        {"type": "input_image", "image_url": PIXEL, "detail": "low", "file_id": None},
        {"type": "input_file", "file_data": "cGRm", "filename": "a.pdf"},
        {"type": "input_file", "file_id": "file_1"},
        {"type": "input_audio", "input_audio": {"data": "cGl4", "format": "wav"}},
    )
    assert messages(content)[0]["content"] == [
        {"type": "text", "text": "Look."},
        {"type": "image_url", "image_url": {"url": PIXEL, "detail": "low"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "cGRm"}},
        {"type": "file", "file": {"file_id": "file_1"}},
        {"type": "input_audio", "input_audio": {"data": "cGl4", "format": "wav"}},
    ]


def test_a_sole_text_is_a_string_as_many_servers_want_it() -> None:
    assert messages(user({"type": "input_text", "text": "Hi."})) == [
        {"role": "user", "content": "Hi."}
    ]


def test_what_a_vendor_knows_of_a_part_a_message_and_a_call_is_passed_on() -> None:
    part = {"type": "input_text", "text": "Hi.", "cache_control": {"type": "ephemeral"}}
    thought = {"extra_content": {"google": {"thought_signature": "x"}}}
    read = messages({**user(part), "name": "Ann"}, {**CALL, **thought})
    assert read == [
        {
            "role": "user",
            "name": "Ann",
            "content": [{"type": "text", "text": "Hi.", "cache_control": {"type": "ephemeral"}}],
        },
        {"role": "assistant", "content": None, "tool_calls": [{**chat_call("c1"), **thought}]},
    ]


def test_a_message_and_the_calls_beside_it_are_one_message() -> None:
    reasoning = {"type": "reasoning", "id": "rs_1", "summary": [], "content": []}
    read = messages(
        reasoning, assistant("I add."), reasoning, CALL, OTHER_CALL, RESULT, assistant("2.")
    )
    assert read == [
        {
            "role": "assistant",
            "content": "I add.",
            "tool_calls": [chat_call("c1"), chat_call("c2")],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "2"},
        {"role": "assistant", "content": "2."},
    ]


def test_what_is_said_between_a_call_and_its_result_is_part_of_the_same_message() -> None:
    read = messages(assistant("I add."), CALL, assistant("Wait."), RESULT)
    content = [{"type": "text", "text": "I add."}, {"type": "text", "text": "Wait."}]
    calls = [chat_call("c1")]
    assert read[0] == {"role": "assistant", "content": content, "tool_calls": calls}
    assert len(read) == 2


def test_two_answers_in_turn_are_two_messages() -> None:
    assert [each["content"] for each in messages(assistant("1."), assistant("2."))] == ["1.", "2."]


def test_arguments_that_are_empty_become_an_empty_object() -> None:
    assert messages({**CALL, "arguments": ""})[0]["tool_calls"] == [chat_call("c1", "{}")]


@pytest.mark.parametrize("content", [[], "", [{"type": "output_text", "text": ""}]])
def test_an_answer_that_says_nothing_is_left_out(content: Any) -> None:
    nothing = {"role": "assistant", "content": content}
    assert messages(nothing, user({"type": "input_text", "text": "Hi."})) == [
        {"role": "user", "content": "Hi."}
    ]


def test_a_refusal_is_kept() -> None:
    refusal = {"type": "refusal", "refusal": "No."}
    assert messages({"role": "assistant", "content": [refusal]})[0]["content"] == [refusal]


def test_the_output_of_a_function_may_have_parts() -> None:
    parts = [{"type": "input_text", "text": "2"}, {"type": "input_text", "text": "3"}]
    assert messages(CALL, {**RESULT, "output": parts})[1]["content"] == [
        {"type": "text", "text": "2"},
        {"type": "text", "text": "3"},
    ]


def test_a_reference_stands_for_the_message_that_it_was_resolved_to() -> None:
    refer = [{"type": "item_reference", "id": each} for each in ("rs_t_0", "msg_t_1", "msg_t_1")]
    body = {"input": [*refer, CALL, RESULT]}
    assert references_of(body) == ("rs_t_0", "msg_t_1", "msg_t_1")
    said: dict[str, Any] = {"role": "assistant", "content": "I add."}
    resolved: dict[str, Message | None] = {"rs_t_0": None, "msg_t_1": said}
    assert messages(*refer[:2], CALL, RESULT, resolved=resolved) == [
        {**said, "tool_calls": [chat_call("c1")]},
        {"role": "tool", "tool_call_id": "c1", "content": "2"},
    ]
    assert said == {"role": "assistant", "content": "I add."}


def test_what_a_reference_was_resolved_to_is_not_changed() -> None:
    call, text = chat_call("c1"), {"type": "text", "text": "I add."}
    said: dict[str, Message | None] = {
        "fc_t_0": {"role": "assistant", "content": None, "tool_calls": [call]},
        "msg_t_1": {"role": "assistant", "content": [text]},
    }
    refer = [{"type": "item_reference", "id": each} for each in said]
    read = messages(*refer, OTHER_CALL, assistant("Wait."), RESULT, resolved=said)
    assert read[0]["tool_calls"] == [call, chat_call("c2")]
    assert read[0]["content"] == [text, {"type": "text", "text": "Wait."}]
    assert said == {
        "fc_t_0": {"role": "assistant", "content": None, "tool_calls": [call]},
        "msg_t_1": {"role": "assistant", "content": [text]},
    }


def test_a_reference_that_was_not_resolved_is_a_fault() -> None:
    reference = {"type": "item_reference", "id": "msg_x"}
    assert list(faults(user({"type": "input_text", "text": "Hi."}), reference)) == ["input[1].id"]


@pytest.mark.parametrize("body", [{}, {"input": "Hi."}, {"input": [1, {"id": 2}]}])
def test_an_input_without_references_has_none(body: dict[str, Any]) -> None:
    assert references_of(body) == ()


def test_every_fault_is_told_at_once_by_the_name_that_the_client_wrote() -> None:
    found = faults(
        1,
        {"content": "Hi."},
        {"type": "computer_call", "id": "x"},
        {"role": "tool", "content": "Hi."},
        {"role": "user"},
        user({"type": "text", "text": "Hi."}, {"type": "input_text", "text": 1}),
        user({"type": "input_image", "image_url": {"url": PIXEL}}),
        user({"type": "input_file", "file_url": "https://a.example/b"}, {"type": "input_file"}),
        {"role": "assistant", "content": [{"type": "input_image", "image_url": PIXEL}]},
        {"type": "function_call", "arguments": {}},
        {"type": "function_call_output", "call_id": "c1"},
        {"role": "user", "content": "Hi.", "tool_calls": []},
        user({"type": "input_image", "image_url": "ftp://a.example/b"}),
    )
    assert list(found) == [
        "input[0]",
        "input[1].type",
        "input[2].type",
        "input[3].role",
        "input[4].content",
        "input[5].content[0].type",
        "input[5].content[1].text",
        "input[6].content[0].image_url",
        "input[7].content[0].file_url",
        "input[7].content[1].file_data",
        "input[8].content[0].type",
        "input[9].name",
        "input[9].arguments",
        "input[9].call_id",
        "input[10].output",
        "input[11].tool_calls",
        "input[12].content[0].image_url",  # found by the domain
    ]


@pytest.mark.parametrize(
    ("items", "param"),
    [
        ([user({"type": "input_image", "image_url": "x"})], "input[0].content[0].image_url"),
        (
            [
                {"type": "reasoning", "id": "r", "summary": []},
                assistant("Hi."),
                CALL,
                {**RESULT, "call_id": "no"},
            ],
            "input[3].call_id",
        ),
        (
            [CALL, {**RESULT, "output": [{"type": "input_image", "image_url": "x"}]}],
            "input[1].output[0].image_url",
        ),
        ([user({"type": "input_file", "file_data": "data:x"})], "input[0].content[0].file_data"),
        (
            [user({"type": "input_audio", "input_audio": {"data": "data:x", "format": "wav"}})],
            "input[0].content[0].input_audio.data",
        ),
        ([{"role": "user", "content": " "}], "input[0].content"),
        ([CALL, {**RESULT, "output": []}], "input[1].output"),
    ],
)
def test_what_the_domain_finds_is_told_by_the_name_that_the_client_wrote(
    items: list[Any], param: str
) -> None:
    assert later_faults(*items) == [param]
