"""From the body of `POST /v1/chat/completions` to the request of a task."""

from typing import Any

import pytest
from litestar.plugins.problem_details import ProblemDetailsException

from entrypoints.http.openai.chat_request import ChatRequest, read_chat_request
from entrypoints.http.request_defaults import RequestDefaults
from tests.told_faults import told_faults

DEFAULTS = RequestDefaults(model="m", temperature=0.1)
HI = {"role": "user", "content": "Hi."}


def read(**body: Any) -> ChatRequest:
    return read_chat_request({"messages": [HI], **body}, DEFAULTS)


def faults(**body: Any) -> dict[str, str]:
    with pytest.raises(ProblemDetailsException) as refused:
        read(**body)
    return told_faults(refused.value)


def later_faults(**body: Any) -> list[str]:
    """What the use case finds, by the names that the client wrote."""
    asked = read(**body)
    return [asked.param_of(each.field) for each in asked.request.faults()]


def test_messages_pass_through_unchanged() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": ""}}
    messages = [HI, {"role": "assistant", "tool_calls": [call], "reasoning_content": "Hm."}]
    assert list(read(messages=messages).request.messages) == messages


def test_what_has_a_field_is_there_and_all_else_is_an_option() -> None:
    asked = read(
        model="gpt",
        temperature=1,
        metadata={"a": "b"},
        stream=True,
        stream_options={"include_usage": True, "include_obfuscation": False},
        store=True,
        user=None,
        tools=[{"type": "function", "function": {"name": "f"}}],
        seed=1,
    )
    assert (asked.stream, asked.include_usage) == (True, True)
    assert (asked.request.model, asked.request.temperature) == ("gpt", 1)
    assert dict(asked.request.metadata) == {"a": "b"}
    assert asked.request.echo == {"api": "chat"}
    assert dict(asked.request.options) == {
        "tools": [{"type": "function", "function": {"name": "f"}}],
        "seed": 1,
    }


def test_what_is_not_said_is_the_default() -> None:
    asked = read(stream=None, stream_options=None)
    assert (asked.stream, asked.include_usage) == (False, False)
    assert (asked.request.model, asked.request.temperature) == ("m", 0.1)


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_a_length_has_either_name_and_is_told_by_it(name: str) -> None:
    assert read(**{name: 5}).request.max_tokens == 5
    assert later_faults(**{name: 0}) == [name]


def test_both_names_of_the_length_are_refused() -> None:
    assert list(faults(max_tokens=1, max_completion_tokens=2)) == ["max_tokens"]


@pytest.mark.parametrize(
    ("param", "body"),
    [
        ("n", {"n": 2}),
        ("audio", {"audio": {"voice": "alloy"}}),
        ("logprobs", {"logprobs": True}),
        ("functions", {"functions": []}),
        ("messages[0].content", {"messages": [{"role": "user", "content": " "}]}),
        ("messages[0]", {"messages": [1]}),
        ("base_url", {"base_url": "https://a.example"}),
    ],
)
def test_what_the_domain_finds_is_told_by_the_name_that_the_client_wrote(
    param: str, body: dict[str, Any]
) -> None:
    assert later_faults(**body) == [param]


@pytest.mark.parametrize("messages", [None, []])
def test_there_must_be_messages(messages: Any) -> None:
    assert list(faults(messages=messages)) == ["messages"]


def test_types_are_strict_and_every_fault_is_told_at_once() -> None:
    assert faults(
        messages="Hi.",
        model=1,
        max_tokens="5",
        temperature="1",
        metadata=[],
        stream=1,
        stream_options={"include_usage": "yes"},
        store="no",
        system="Be short.",
        n=2,
    ) == {
        "system": "is not accepted: use a message whose role is system",
        "store": "must be true or false",
        "stream_options.include_usage": "must be true or false",
        "max_tokens": "must be a number",
        "model": "must be a string",
        "temperature": "must be a number",
        "stream": "must be true or false",
        "messages": "must be an array",
        "metadata": "must be an object",
        "n": "must be 1: a task has one answer",
    }
