"""What a response tells of its request."""

from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import Response
from openai.types.responses.response_text_config import ResponseTextConfig
from openai.types.responses.service_tier import ServiceTier
from openai.types.shared import ReasoningEffort

from domain.request import TaskRequest
from entrypoints.http.openai.response_echo import (
    EFFORTS,
    SERVICE_TIERS,
    VERBOSITIES,
    echo_of,
)
from entrypoints.http.openai.response_request import read_response_request
from entrypoints.http.request_defaults import RequestDefaults

DEFAULTS = RequestDefaults(model="m")
ENVELOPE = {"id": "resp_t", "object": "response", "created_at": 1, "output": [], "status": "queued"}

texts = st.text(min_size=1, max_size=20)
json_objects = st.dictionaries(texts, st.none() | st.integers() | texts, max_size=3)
some_json = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
tools = st.fixed_dictionaries(
    {
        "type": st.just("function"),
        "name": texts,
        "description": st.none() | texts,
        "parameters": st.none() | json_objects,
        "strict": st.none() | st.booleans(),
    }
)
names = st.fixed_dictionaries({"type": st.just("function"), "name": texts})
choices = (
    st.sampled_from(["auto", "none", "required"])
    | names
    | st.fixed_dictionaries(
        {
            "type": st.just("allowed_tools"),
            "mode": st.sampled_from(["auto", "required"]),
            "tools": st.lists(names, max_size=2),
        }
    )
)
formats = st.sampled_from([{"type": "text"}, {"type": "json_object"}]) | st.fixed_dictionaries(
    {
        "type": st.just("json_schema"),
        "name": texts,
        "description": st.none() | texts,
        "schema": json_objects,
        "strict": st.none() | st.booleans(),
    }
)
bodies = st.fixed_dictionaries(
    {
        "model": texts,
        "instructions": st.none() | texts,
        "max_output_tokens": st.none() | st.integers(1, 100),
        "metadata": st.dictionaries(texts, texts, max_size=2),
        "parallel_tool_calls": st.booleans(),
        "previous_response_id": st.sampled_from([None, "resp_task_1"]),
        "reasoning": st.fixed_dictionaries(
            {
                "effort": st.none() | st.sampled_from(EFFORTS),
                "summary": st.sampled_from([None, "auto", "concise", "detailed"]),
            }
        ),
        "service_tier": st.none() | st.sampled_from(SERVICE_TIERS),
        "store": st.booleans(),
        "background": st.booleans(),
        "temperature": st.none() | st.floats(0, 2),
        "top_p": st.none() | st.floats(0, 1),
        "user": st.none() | texts,
        "prompt_cache_key": st.none() | texts,
    }
)


def echoed(request: TaskRequest) -> dict[str, Any]:
    """The echo, which the official client reads."""
    echo = echo_of(request)
    Response.model_validate({**ENVELOPE, **echo})
    return echo


@given(bodies, st.lists(tools, max_size=2), choices, formats, st.sampled_from([None, *VERBOSITIES]))
def test_a_response_tells_what_its_body_said(
    body: dict[str, Any],
    tools: list[dict[str, Any]],
    choice: Any,
    format_: dict[str, Any],
    verbosity: str | None,
) -> None:
    choice = choice if tools or choice == "none" else "auto"
    whole = {**body, "tools": tools, "tool_choice": choice, "input": "Hi."}
    text = {"format": format_, **({} if verbosity is None else {"verbosity": verbosity})}
    echo = echoed(read_response_request({**whole, "text": text}, DEFAULTS).request)
    assert {name: echo[name] for name in body} == body
    assert (echo["tools"], echo["tool_choice"], echo["text"]) == (tools, choice, text)


@given(
    st.dictionaries(
        st.sampled_from(
            [
                "parallel_tool_calls",
                "prompt_cache_key",
                "prompt_cache_retention",
                "reasoning_effort",
                "response_format",
                "safety_identifier",
                "service_tier",
                "tool_choice",
                "tools",
                "top_p",
                "user",
                "verbosity",
            ]
        ),
        some_json
        | st.fixed_dictionaries({"type": st.just("json_schema"), "json_schema": some_json})
        | st.fixed_dictionaries({"allowed_tools": st.fixed_dictionaries({"tools": some_json})})
        | st.lists(st.fixed_dictionaries({"function": some_json}), max_size=2),
    )
)
def test_whatever_the_other_apis_pass_on_is_told_so_that_the_client_reads_it(
    options: dict[str, Any],
) -> None:
    echoed(TaskRequest(model="m", prompt="Hi.", options=options))


@pytest.mark.parametrize(
    ("known", "official"),
    [
        (EFFORTS, ReasoningEffort),
        (SERVICE_TIERS, ServiceTier),
        (VERBOSITIES, ResponseTextConfig.model_fields["verbosity"].annotation),
    ],
)
def test_the_values_that_are_told_are_those_that_the_client_knows(
    known: tuple[str, ...], official: Any
) -> None:
    assert known == get_args(get_args(official)[0])


def test_a_task_of_the_native_api_is_told_as_one_in_the_background() -> None:
    echo = echoed(TaskRequest(model="m", prompt="Hi.", system="Be short."))
    assert (echo["background"], echo["store"], echo["instructions"]) == (True, True, "Be short.")
