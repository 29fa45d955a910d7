"""The body of `POST /responses` that a request becomes. The reader of our own /v1/responses, which
does the opposite, is the judge of what it can carry."""

from typing import Any

import pytest

from adapters.openai.responses.request import body_of, is_kept
from domain.request import TaskRequest
from entrypoints.http.openai.response_request import read_response_request
from entrypoints.http.request_defaults import RequestDefaults

DEFAULTS = RequestDefaults(model="other", max_tokens=None, temperature=None)
SCHEMA = {"name": "n", "schema": {"type": "object"}, "strict": True}
FUNCTION = {"name": "f", "description": "d", "parameters": {"type": "object"}, "strict": True}

CONVERSATIONS: dict[str, list[dict[str, Any]]] = {
    "roles": [
        {"role": "system", "content": "S"},
        {"role": "developer", "content": "D"},
        {"role": "user", "content": "U"},
        {"role": "assistant", "content": "A"},
        {"role": "user", "content": "V"},
    ],
    "parts": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "T"},
                {"type": "image_url", "image_url": {"url": "https://x.org/i", "detail": "low"}},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,aa"}},
                {"type": "file", "file": {"file_data": "data:a/b;base64,aa", "filename": "n"}},
                {"type": "input_audio", "input_audio": {"data": "aa", "format": "wav"}},
            ],
        }
    ],
    "calls": [
        {"role": "user", "content": "U"},
        {
            "role": "assistant",
            "content": "A",
            "tool_calls": [
                {"id": "x", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                {"id": "y", "type": "function", "function": {"name": "g", "arguments": "[1]"}},
            ],
        },
        {"role": "tool", "tool_call_id": "x", "content": "1"},
        {"role": "tool", "tool_call_id": "y", "content": [{"type": "text", "text": "2"}] * 2},
    ],
    "a vendor's own": [{"role": "user", "content": "U", "name": "n", "cache_control": {"a": 1}}],
}
OPTIONS: list[dict[str, Any]] = [
    {"reasoning_effort": "low", "verbosity": "low", "top_p": 0.5, "user": "u"},
    {"response_format": {"type": "json_schema", "json_schema": SCHEMA}},
    {"response_format": {"type": "json_object"}},
    {"tools": [{"type": "function", "function": FUNCTION}], "parallel_tool_calls": False},
    {
        "tools": [{"type": "function", "function": FUNCTION}],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
    },
    {
        "tools": [{"type": "function", "function": FUNCTION}],
        "tool_choice": {
            "type": "allowed_tools",
            "allowed_tools": {
                "mode": "auto",
                "tools": [{"type": "function", "function": {"name": "f"}}],
            },
        },
    },
    {"a_vendor_s_own": {"b": 1}, "seed": 3},
]


@pytest.mark.parametrize("kind", CONVERSATIONS)
def test_another_longtask_reads_the_same_conversation(kind: str) -> None:
    request = TaskRequest(
        model="m", max_tokens=9, temperature=0.5, messages=tuple(CONVERSATIONS[kind])
    )
    read = read_response_request(body_of(request), DEFAULTS)
    assert read.request.conversation() == request.conversation()
    assert (read.request.model, read.request.max_tokens) == ("m", 9)
    assert read.request.temperature == 0.5
    assert read.background
    assert read.stream


@pytest.mark.parametrize("options", OPTIONS)
def test_another_longtask_reads_the_same_options(options: dict[str, Any]) -> None:
    request = TaskRequest(model="m", prompt="P", system="S", options=options)
    read = read_response_request(body_of(request), DEFAULTS).request
    assert read.options == request.options
    assert read.conversation() == request.conversation()


def test_what_only_the_responses_api_has_is_as_it_is() -> None:
    hosted = [{"type": "web_search"}, {"type": "mcp", "server_label": "s"}]
    custom = {"name": "c", "format": {"type": "text"}}
    options: dict[str, Any] = {
        "tools": [*hosted, {"type": "custom", "custom": custom}],
        "tool_choice": {"type": "web_search"},
        "reasoning": {"summary": "auto"},
        "reasoning_effort": "high",
        "include": ["web_search_call.action.sources"],
    }
    request = TaskRequest(model="m", prompt="P", options=options, echo={"summary": "detailed"})
    body = body_of(request)
    assert body["tools"] == [*hosted, {"type": "custom", **custom}]
    assert body["tool_choice"] == options["tool_choice"]
    assert body["reasoning"] == {"summary": "auto", "effort": "high"}
    assert body["include"] == options["include"]


def test_calls_of_custom_tools_and_refusals() -> None:
    request = TaskRequest(
        model="m",
        messages=(
            {"role": "user", "content": "U"},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {"id": "x", "type": "custom", "custom": {"name": "c", "input": "i"}}
                ],
            },
            {"role": "tool", "tool_call_id": "x", "content": "1"},
            {"role": "assistant", "content": "A", "refusal": "No."},
            {"role": "assistant", "content": None, "function_call": {"name": "f"}},
            {"role": "function", "name": "f", "content": "2"},
        ),
    )
    assert body_of(request)["input"][1:] == [
        {"type": "custom_tool_call", "call_id": "x", "name": "c", "input": "i"},
        {"type": "custom_tool_call_output", "call_id": "x", "output": "1"},
        {
            "role": "assistant",
            "content": [
                {"type": "output_text", "text": "A"},
                {"type": "refusal", "refusal": "No."},
            ],
        },
        {"type": "function_call", "call_id": "f", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "f", "output": "2"},
    ]


def test_what_means_nothing_or_is_ours_is_not_passed_on() -> None:
    options = {"n": 1, "logprobs": False, "modalities": ["text"], "background": False}
    body = body_of(TaskRequest(model="m", prompt="P", options=options), frozenset({"temperature"}))
    assert body.keys() == {"model", "input", "stream", "store", "background"}
    assert body["background"] is True


@pytest.mark.parametrize("place", ["options", "echo"])
def test_what_is_not_stored_does_not_run_in_the_background(place: str) -> None:
    request = TaskRequest(model="m", prompt="P", **{place: {"store": False}})  # type: ignore[arg-type]
    assert not is_kept(request)
    assert body_of(request)["store"] is False
    assert "background" not in body_of(request)
