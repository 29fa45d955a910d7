"""From the body of `POST /v1/responses` to the request of a task."""

from typing import Any, get_type_hints

import pytest
from litestar.plugins.problem_details import ProblemDetailsException
from openai.types.responses.response_create_params import ResponseCreateParamsStreaming

from entrypoints.http.openai.response_request import ResponseRequest, read_response_request
from entrypoints.http.request_defaults import RequestDefaults
from tests.told_faults import told_faults

DEFAULTS = RequestDefaults(model="m", max_tokens=7)
TOOL = {
    "type": "function",
    "name": "add",
    "description": "Adds.",
    "parameters": {"type": "object"},
    "strict": True,
}
NESTED = {
    "type": "function",
    "function": {name: value for name, value in TOOL.items() if name != "type"},
}
SCHEMA = {"name": "n", "schema": {"type": "object"}, "strict": True}
PASSED_ON = {
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "safety_identifier",
    "service_tier",
    "user",
}
"""What chat completions call the same."""


def read(**body: Any) -> ResponseRequest:
    return read_response_request({"input": "Hi.", **body}, DEFAULTS)


def options(**body: Any) -> dict[str, Any]:
    return dict(read(**body).request.options)


def test_what_a_request_has_as_a_field() -> None:
    asked = read(
        model="gpt",
        instructions="Be short.",
        max_output_tokens=20.0,
        temperature=0.5,
        metadata={"a": "b"},
        previous_response_id="resp_task_1_ab",
        background=True,
        stream=True,
    )
    request = asked.request
    assert (asked.background, asked.stream) == (True, True)
    assert (request.model, request.system, request.prompt) == ("gpt", "Be short.", "Hi.")
    assert (request.max_tokens, request.temperature) == (20, 0.5)
    assert (dict(request.metadata), request.previous_task_id) == ({"a": "b"}, "task_1_ab")
    assert request.echo == {"api": "responses", "background": True}


def test_what_is_not_said_is_the_default_of_the_settings() -> None:
    request = read(model=None, max_output_tokens=None).request
    assert (request.model, request.max_tokens, request.temperature) == ("m", 7, None)


def test_what_an_option_is_called() -> None:
    assert options(
        reasoning={"effort": "low", "summary": "auto"},
        text={"verbosity": "high", "format": {"type": "json_schema", **SCHEMA}},
        top_p=0.9,
        tools=[TOOL],
        tool_choice={"type": "function", "name": "add"},
        parallel_tool_calls=False,
    ) == {
        "reasoning_effort": "low",
        "verbosity": "high",
        "response_format": {"type": "json_schema", "json_schema": SCHEMA},
        "top_p": 0.9,
        "tools": [NESTED],
        "tool_choice": {"type": "function", "function": {"name": "add"}},
        "parallel_tool_calls": False,
    }


@pytest.mark.parametrize(
    ("choice", "nested"),
    [
        ("required", "required"),
        (
            {
                "type": "allowed_tools",
                "mode": "required",
                "tools": [{"type": "function", "name": "add"}],
            },
            {
                "type": "allowed_tools",
                "allowed_tools": {
                    "mode": "required",
                    "tools": [{"type": "function", "function": {"name": "add"}}],
                },
            },
        ),
    ],
)
def test_every_choice_of_functions_is_passed_on(choice: Any, nested: Any) -> None:
    assert options(tools=[TOOL], tool_choice=choice)["tool_choice"] == nested


def test_what_chat_completions_call_the_same_and_what_is_a_vendors_own_is_passed_on() -> None:
    given = {
        "service_tier": "flex",
        "user": "u",
        "safety_identifier": "s",
        "prompt_cache_key": "k",
        "prompt_cache_options": {"mode": "explicit"},
        "seed": 1,
        "stop": ["x"],
        "top_k": 5,
    }
    assert options(**given) == given


def test_what_changes_nothing_is_left_out() -> None:
    nothing: dict[str, Any] = dict.fromkeys(get_type_hints(ResponseCreateParamsStreaming))
    nothing |= {
        "tools": [],
        "tool_choice": "auto",
        "parallel_tool_calls": True,
        "include": ["reasoning.encrypted_content", "message.input_image.image_url"],
        "store": True,
        "truncation": "disabled",
        "stream_options": {"include_obfuscation": False},
        "text": {"format": {"type": "text"}},
        "top_logprobs": 0,
        "reasoning": {"effort": None, "mode": "standard"},
        "background_options": {"completion_window": "soonest", "continuation_id": "x"},
        "context_management": [],
        "input": "Hi.",
    }
    assert read_response_request(nothing, DEFAULTS).request == read().request


def test_what_is_only_told_again_is_in_the_echo() -> None:
    echo = read(store=False, reasoning={"generate_summary": "concise"}).request.echo
    assert echo == {"api": "responses", "store": False, "summary": "concise"}


def test_what_concerns_tools_is_only_told_again_where_there_are_none() -> None:
    request = read(tool_choice="none", parallel_tool_calls=False).request
    assert not request.options
    assert request.echo == {
        "api": "responses",
        "tool_choice": "none",
        "parallel_tool_calls": False,
    }


@pytest.mark.parametrize("name", get_type_hints(ResponseCreateParamsStreaming))
def test_no_parameter_of_the_official_client_is_taken_for_a_vendors_own(name: str) -> None:
    """A new one must be read, passed on or refused on purpose."""
    value = {"x": "y"} if name.endswith("options") else "x"
    vendors_own, refused = set[str](), set[str]()
    try:
        vendors_own = set(options(**{name: value})) - PASSED_ON
    except ProblemDetailsException as error:
        refused = {each.partition(".")[0] for each in told_faults(error)}
    assert not vendors_own
    assert refused <= {name}
