"""What is wrong with the body of `POST /v1/responses`, by the names that the client wrote."""

from typing import Any

import pytest
from litestar.plugins.problem_details import ProblemDetailsException

from domain.request import FAULTS_LIMIT, RequestBounds
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


def read(**body: Any) -> ResponseRequest:
    return read_response_request({"input": "Hi.", **body}, DEFAULTS)


def faults(bounds: RequestBounds | None = None, **body: Any) -> dict[str, str]:
    whole = {"input": "Hi.", **body}
    with pytest.raises(ProblemDetailsException) as refused:
        read_response_request(whole, DEFAULTS, bounds=bounds or RequestBounds())
    return told_faults(refused.value)


@pytest.mark.parametrize(
    "kind",
    [
        "web_search",
        "web_search_preview",
        "file_search",
        "code_interpreter",
        "computer_use_preview",
        "image_generation",
        "mcp",
        "local_shell",
        "custom",
    ],
)
def test_a_hosted_tool_is_refused(kind: str) -> None:
    assert list(faults(tools=[TOOL, {"type": kind}])) == ["tools[1].type"]


@pytest.mark.parametrize(
    ("param", "body"),
    [
        ("conversation", {"conversation": "conv_1"}),
        ("webhook", {"webhook": {"url": "https://example.org"}}),
        ("prompt", {"prompt": {"id": "pmpt_1"}}),
        ("truncation", {"truncation": "auto"}),
        ("max_tool_calls", {"max_tool_calls": 3}),
        ("top_logprobs", {"top_logprobs": 2}),
        ("include", {"include": ["message.output_text.logprobs"]}),
        ("context_management", {"context_management": [{"type": "compaction"}]}),
        ("moderation", {"moderation": {"model": "omni"}}),
        ("reasoning.mode", {"reasoning": {"mode": "pro"}}),
        (
            "background_options.completion_window",
            {"background_options": {"completion_window": "2h"}},
        ),
        ("background_options", {"background_options": {}, "stream": True}),
        ("previous_response_id", {"previous_response_id": "task_1"}),
        ("tool_choice", {"tool_choice": "required"}),
        ("tool_choice.type", {"tools": [TOOL], "tool_choice": {"type": "web_search"}}),
        ("tools[0].name", {"tools": [NESTED]}),
        ("tools[0].defer_loading", {"tools": [{**TOOL, "defer_loading": True}]}),
        ("text.format.type", {"text": {"format": {"type": "grammar"}}}),
        ("text.format.schema", {"text": {"format": {"type": "json_schema", "name": "n"}}}),
        ("max_tokens", {"max_tokens": 1}),
        ("response_format", {"response_format": {"type": "text"}}),
        ("input", {"input": None}),
        ("input", {"input": []}),
        ("input", {"input": [{"type": "reasoning", "id": "r", "summary": []}]}),
        ("input", {"input": {"role": "user", "content": "Hi."}}),
    ],
)
def test_what_would_change_the_answer_and_cannot_be_done_is_refused(
    param: str, body: dict[str, Any]
) -> None:
    assert list(faults(**body)) == [param]


def test_types_are_strict_and_every_fault_is_told_at_once() -> None:
    assert faults(
        model=1,
        instructions=["x"],
        max_output_tokens="10",
        temperature=True,
        top_p="1",
        metadata={"a": 1},
        stream="true",
        store=0,
        tools={},
        text="x",
        reasoning={"summary": "long"},
        input=[1],
        user=1,
    ) == {
        "stream": "must be true or false",
        "input[0]": "must be an object",
        "store": "must be true or false",
        "user": "must be a string",
        "top_p": "must be a number",
        "reasoning.summary": 'must be one of "auto", "concise", "detailed"',
        "text": "must be an object",
        "tools": "must be an array",
        "model": "must be a string",
        "max_output_tokens": "must be a number",
        "temperature": "must be a number",
        "instructions": "must be a string",
        "metadata": "each value must be a string",
    }


def test_a_length_is_a_whole_number() -> None:
    assert faults(max_output_tokens=1.5) == {"max_output_tokens": "must be a whole number"}


def test_the_bounds_that_are_broken_are_told_beside_a_wrong_type() -> None:
    broken = faults(
        RequestBounds(refused_options=("user",)),
        stream=1,
        input=" ",
        max_output_tokens=0,
        instructions=" ",
        n=2,
        user="u",
        previous_response_id="no",
    )
    assert set(broken) == {
        "stream",
        "previous_response_id",
        "input",
        "max_output_tokens",
        "instructions",
        "n",
        "user",
    }


def test_a_result_may_belong_to_a_call_that_could_not_be_read() -> None:
    result = {"type": "function_call_output", "call_id": "c1", "output": "2"}
    call = {"type": "function_call", "call_id": "c1", "arguments": "{}"}
    assert list(faults(input=[call, result])) == ["input[0].name"]
    assert list(faults(input=[result], previous_response_id="no")) == ["previous_response_id"]


def test_a_bounded_number_of_faults_is_told() -> None:
    assert len(faults(input=[1] * 1_000)) == FAULTS_LIMIT


@pytest.mark.parametrize(
    ("field", "param"),
    [
        ("prompt", "input"),
        ("messages", "input"),
        ("system", "instructions"),
        ("max_tokens", "max_output_tokens"),
        ("options.response_format", "text.format"),
        ("options.n", "n"),
        ("metadata", "metadata"),
    ],
)
def test_a_field_of_a_request_is_called_as_the_client_wrote_it(field: str, param: str) -> None:
    assert read().param_of(field) == param
