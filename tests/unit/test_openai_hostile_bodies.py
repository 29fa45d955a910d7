"""Whatever JSON a body holds, it is read or refused, and a fault names what the body has."""

from collections.abc import Callable
from typing import Any, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from litestar.plugins.problem_details import ProblemDetailsException
from openai.types.chat.completion_create_params import CompletionCreateParamsStreaming
from openai.types.responses.response_create_params import ResponseCreateParamsStreaming

from entrypoints.http.openai.chat_request import ChatRequest, read_chat_request
from entrypoints.http.openai.input_items import input_items_of
from entrypoints.http.openai.input_messages import references_of
from entrypoints.http.openai.response_echo import echo_of
from entrypoints.http.openai.response_request import ResponseRequest, read_response_request
from entrypoints.http.request_defaults import RequestDefaults
from tests.told_faults import told_faults

DEFAULTS = RequestDefaults(model="m")
WORDS = [
    *("type", "role", "content", "id", "call_id", "name", "arguments", "output", "text", "detail"),
    *("input_text", "input_image", "image_url", "input_file", "file_data", "input_audio", "data"),
    *("message", "function_call", "function_call_output", "item_reference", "reasoning", "refusal"),
    *("user", "assistant", "tool", "function", "tool_calls", "tool_call_id", "format", "schema"),
    *("json_schema", "allowed_tools", "tools", "mode", "auto", "resp_x", "msg_x_1", "output_text"),
]
texts = st.sampled_from(WORDS) | st.text(max_size=3)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.floats(-2, 2) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=4,
)
parts = st.fixed_dictionaries(
    {"type": texts}, optional=dict.fromkeys(("text", "image_url", "input_audio"), values)
)
kinds = st.sampled_from(["message", "function_call", "function_call_output", "item_reference"])
items = st.fixed_dictionaries(
    {"type": kinds},
    optional={
        "role": st.sampled_from(["user", "assistant", "tool"]),
        "content": st.lists(parts, max_size=2) | values,
        "output": st.lists(parts, max_size=2) | values,
        **dict.fromkeys(("id", "call_id", "name", "arguments", "other"), texts | values),
    },
)


def bodies(params: type, turns: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    known = dict.fromkeys(get_type_hints(params), values)
    given_input = st.lists(turns | values, max_size=4) | values
    return st.fixed_dictionaries(
        {}, optional={**known, "other": values, "input": given_input, "messages": given_input}
    ).filter(bool)


def check(body: dict[str, Any], read: Callable[[], ResponseRequest | ChatRequest]) -> None:
    refused: ProblemDetailsException | None = None
    try:
        asked = read()
    except ProblemDetailsException as error:
        refused = error
    if refused is not None:
        fields = list(told_faults(refused))
    else:
        fields = [asked.param_of(each.field) for each in asked.request.faults()]
        if not fields:
            echo_of(asked.request)
            input_items_of("t", asked.request)
    for field in fields:
        name = field.partition(".")[0].partition("[")[0]
        assert name in body or name in ("input", "messages", "body")


@pytest.mark.soak
@settings(max_examples=40)
@given(bodies(ResponseCreateParamsStreaming, items))
def test_any_body_of_a_response(body: dict[str, Any]) -> None:
    resolved = dict.fromkeys(references_of(body))
    check(body, lambda: read_response_request(body, DEFAULTS, resolved))


@settings(max_examples=40)
@given(bodies(CompletionCreateParamsStreaming, items))
def test_any_body_of_chat_completions(body: dict[str, Any]) -> None:
    check(body, lambda: read_chat_request(body, DEFAULTS))


@pytest.mark.parametrize("count", [1, 10_000])
def test_a_name_of_any_length_is_shortened(count: int) -> None:
    with pytest.raises(ProblemDetailsException) as refused:
        read_response_request({"input": "Hi.", "reasoning": {"x" * count: 1}}, DEFAULTS)
    assert max(map(len, told_faults(refused.value))) < 200
