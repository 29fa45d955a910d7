"""Chat completions by openai-node: each a task, which is paid for once."""

from typing import Any

import pytest

from tests.doubles.upstream import (
    DONE,
    USAGE,
    Script,
    Upstream,
    answer,
    call,
    finish,
    piece,
    reasoning,
    refusal,
)
from tests.official.node.clients import Node
from tests.running import Running

pytestmark = pytest.mark.soak

ANSWER = "Hello, world."
STREAM = {"stream": True, "stream_options": {"include_usage": True}}
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {}}}]
LOST = Script([piece("Hel")], cut=True)


def called(*arguments: str) -> list[bytes]:
    first, *others = arguments
    pieces = [call(0, first, "call_a", "weather"), *(call(0, each) for each in others)]
    return [*pieces, finish("tool_calls"), USAGE, DONE]


def chat(node: Node, service: Running, **given: Any) -> dict[str, Any]:
    seen: dict[str, Any] = node.result("openai_calls", service.url, "chat", **given)
    return seen


def said(chunks: list[dict[str, Any]], field: str) -> str:
    deltas = [each["choices"][0]["delta"] for each in chunks if each["choices"]]
    return "".join(each.get(field) or "" for each in deltas)


def test_a_completion_is_held_until_its_end(service: Running, node: Node) -> None:
    made = chat(node, service)["value"]
    assert made["choices"][0]["message"]["content"] == ANSWER
    assert made["choices"][0]["finish_reason"] == "stop"
    assert made["usage"]["total_tokens"] == 8


def test_a_completion_is_streamed(service: Running, node: Node, upstream: Upstream) -> None:
    upstream.then(Script([reasoning("Let me think."), *answer("Hello", ", ", "world.")]))
    chunks = chat(node, service, body=STREAM)["value"]
    assert said(chunks, "content") == ANSWER
    assert said(chunks, "reasoning_content") == "Let me think."
    assert chunks[-1]["usage"]["total_tokens"] == 8


def test_a_lost_attempt_ends_a_stream_and_the_same_key_replays_the_whole(
    service: Running, node: Node, upstream: Upstream
) -> None:
    upstream.then(LOST)
    error = chat(node, service, body=STREAM, key="again")["error"]
    assert error["code"] == "attempt_lost"
    assert said(chat(node, service, body=STREAM, key="again")["value"], "content") == ANSWER
    assert len(upstream.received) == 2


def test_a_lost_attempt_is_not_seen_in_a_held_completion(
    service: Running, node: Node, upstream: Upstream
) -> None:
    upstream.then(LOST)
    assert chat(node, service)["value"]["choices"][0]["message"]["content"] == ANSWER


def test_a_call_that_was_lost_half_way_is_streamed_once(
    service: Running, node: Node, upstream: Upstream
) -> None:
    half = Script([call(0, '{"ci', "call_0", "weather")], cut=True)
    upstream.then(half, Script(called('{"city":', '"Oslo"}')))
    body = {"tools": TOOLS}
    made = node.result("openai_calls", service.url, "chatHelper", body=body)["value"]
    (only,) = made["choices"][0]["message"]["tool_calls"]
    assert only["id"] == "call_a"
    assert only["function"]["arguments"] == '{"city":"Oslo"}'


@pytest.mark.parametrize("stream", [True, False])
def test_tools_are_run(service: Running, node: Node, upstream: Upstream, stream: bool) -> None:
    upstream.then(Script(called('{"city":"Oslo"}')), Script(answer("20 degrees.")))
    seen = node.result("openai_calls", service.url, "chatRunTools", stream=stream)
    assert seen == {"text": "20 degrees.", "ran": ["Oslo"]}


def test_an_answer_is_parsed_by_its_schema(
    service: Running, node: Node, upstream: Upstream
) -> None:
    upstream.then(Script(answer('{"city":"Oslo",', '"degrees":20}')))
    seen = node.result("openai_calls", service.url, "chatParse")
    assert seen == {"city": "Oslo", "degrees": 20}


@pytest.mark.parametrize("stream", [True, False])
def test_a_model_that_refuses_the_request_is_asked_once(
    service: Running, node: Node, upstream: Upstream, stream: bool
) -> None:
    upstream.then(refusal(401, "invalid_api_key"))
    error = chat(node, service, body={"stream": stream})["error"]
    assert error["code"] == "invalid_api_key"
    assert len(upstream.received) == 1


def test_a_model_that_stays_broken_is_not_asked_anew_by_the_client(
    service: Running, node: Node, upstream: Upstream
) -> None:
    upstream.always = refusal(500)
    error = chat(node, service)["error"]
    assert error["status"] == 500
    assert len(upstream.received) == 4  # what the queue tries


def test_an_answer_that_was_cut_says_so(service: Running, node: Node, upstream: Upstream) -> None:
    upstream.then(Script(answer("Hel", reason="length")))
    assert chat(node, service)["value"]["choices"][0]["finish_reason"] == "length"


def test_more_than_one_choice_is_refused(service: Running, node: Node) -> None:
    error = chat(node, service, body={"n": 2})["error"]
    assert (error["status"], error["param"]) == (400, "n")
