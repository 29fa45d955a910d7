"""Whatever JSON the body of a chat holds, it is read or refused, and a fault names what it has."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from litestar.plugins.problem_details import ProblemDetailsException

from domain.request import FAULTS_LIMIT
from entrypoints.http.ai_sdk.chat_body import read_chat
from entrypoints.http.request_defaults import RequestDefaults
from tests.told_faults import told_faults

DEFAULTS = RequestDefaults(model="m")
KINDS = [
    *("text", "file", "reasoning", "reasoning-file", "step-start", "dynamic-tool", "tool-add"),
    *("tool-", "data-reset-step", "data-x", "source-url", "custom", "steering-message"),
]
WORDS = [
    *("user", "assistant", "system", "image/png", "image", "audio/wav", "application/pdf", "data:"),
    *("data:a/b;base64,cGl4", "https://example.com", "input-available", "output-available"),
    *("output-error", "output-denied", "reason", "approved", "submit-message", "", "."),
]
texts = st.sampled_from(WORDS) | st.text(max_size=3)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 10**30) | st.floats(-2, 2) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=4,
)
PART_FIELDS = [
    *("text", "mediaType", "url", "filename", "providerReference", "toolCallId", "toolName"),
    *("state", "input", "rawInput", "output", "errorText", "approval", "other"),
]
parts = st.fixed_dictionaries(
    {"type": st.sampled_from(KINDS)}, optional=dict.fromkeys(PART_FIELDS, texts | values)
)
messages = st.fixed_dictionaries(
    {
        "role": st.sampled_from(["user", "assistant", "system"]) | values,
        "parts": st.lists(parts | values, max_size=5) | values,
    },
    optional=dict.fromkeys(("id", "metadata", "createdAt"), texts | values),
)
FIELDS = [
    *("id", "trigger", "messageId", "model", "maxTokens", "temperature", "system", "options"),
    *("metadata", "ttl", "sdk", "webhook", "other"),
]
bodies = st.fixed_dictionaries(
    {},
    optional={**dict.fromkeys(FIELDS, values), "messages": st.lists(messages | values) | values},
)


def fields_at_fault(body: dict[str, Any]) -> list[str]:
    try:
        asked = read_chat(body, DEFAULTS)
    except ProblemDetailsException as refused:
        return list(told_faults(refused))
    assert msgspec.json.encode(asked.request.to_fields())
    return [asked.param_of(each.field) for each in asked.request.faults()]


@settings(max_examples=40)
@given(bodies)
def test_any_body_of_a_chat(body: dict[str, Any]) -> None:
    for field in fields_at_fault(body):
        name, _, rest = field.partition("[")
        name = name.partition(".")[0]
        assert name in body or name == "messages"
        if rest:
            index, _, inside = rest.partition("]")
            message = body["messages"][int(index)]
            if inside.startswith(".parts["):
                assert int(inside[7:].partition("]")[0]) < len(message["parts"])


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("value", [True, 0, -1, 1.5, 10**30, "", [], {}, [[]], {"": {}}])
def test_any_type_of_a_field(name: str, value: Any) -> None:
    body = {"messages": [{"role": "user", "parts": [{"type": "text", "text": "Hi."}]}]}
    assert all(each.startswith(name) for each in fields_at_fault({**body, name: value}))


def test_a_body_of_faults_is_told_some_of_them() -> None:
    names = {"x" * 1_000 + str(each): 1 for each in range(1_000)}
    found = fields_at_fault({"messages": [{"role": "user", "parts": [{}] * 9_000}], **names})
    assert len(found) == FAULTS_LIMIT
    assert max(map(len, found)) < 200


@pytest.mark.parametrize("messages", [[{}] * 10_001, [{"parts": [{}] * 6_000}] * 2])
def test_more_than_a_request_may_hold_is_refused_without_reading_it(messages: list[Any]) -> None:
    assert fields_at_fault({"messages": messages}) == ["messages"]


def test_parts_that_are_taken_back_again_and_again_are_read_in_time() -> None:
    turns = [{"type": "step-start"}, {"type": "text", "text": "x"}, {"type": "data-reset-step"}]
    said = {"type": "text", "text": "Hi."}
    assistant = {"id": "a", "role": "assistant", "parts": [*turns * 3_000, said]}
    assert fields_at_fault({"messages": [assistant]}) == []
