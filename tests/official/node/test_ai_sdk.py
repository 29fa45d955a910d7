"""The AI SDK: over responses by @ai-sdk/openai, over chat completions by
@ai-sdk/openai-compatible."""

from typing import Any

import pytest

from tests.doubles.upstream import (
    DONE,
    USAGE,
    Gate,
    Script,
    Upstream,
    answer,
    call,
    delta,
    finish,
    piece,
    reasoning,
    refusal,
)
from tests.official.node.cancelling import cancelling
from tests.official.node.clients import Node
from tests.running import Running

pytestmark = [
    pytest.mark.soak,
    pytest.mark.parametrize("face", ["responses", "chat"]),
    pytest.mark.parametrize("scenario", ["generate", "stream"]),
]

REASONING = {"forceReasoning": True, "reasoningSummary": "auto"}
"""The SDK does not know that the model reasons, and asks for a summary of those only that do."""
THOUGHT = reasoning("Let me look.")
CALLED = Script(
    [
        THOUGHT,
        piece("One moment."),
        call(0, '{"city":"Oslo"}', "call_a", "weather"),
        finish("tool_calls"),
        USAGE,
        DONE,
    ]
)
TOLD = Script(answer("20 ", "degrees."))


class Sdk:
    def __init__(self, node: Node, service: Running, scenario: str, face: str) -> None:
        self.scenario, self.face = scenario, face
        self._node, self._service = node, service

    def __call__(self, **given: Any) -> dict[str, Any]:
        made: dict[str, Any] = self._node.result(
            "ai_sdk", self._service.url, self.scenario, face=self.face, **given
        )
        return made


@pytest.fixture
def ask(node: Node, service: Running, scenario: str, face: str) -> Sdk:
    return Sdk(node, service, scenario, face)


def test_it_gets_an_answer(ask: Sdk, upstream: Upstream) -> None:
    made = ask()
    assert (made["text"], made["finishReason"]) == ("Hello, world.", "stop")
    assert made["usage"]["totalTokens"] == 8
    assert made.get("streamed", made["text"]) == made["text"]
    assert len(upstream.received) == 1


def test_it_shows_reasoning(ask: Sdk, upstream: Upstream) -> None:
    upstream.then(Script([THOUGHT, *answer("Hi.")]))
    assert ask(options=REASONING)["reasoning"] == "Let me look."


@pytest.mark.parametrize("options", [{}, REASONING, {"store": False}])
def test_it_runs_tools(ask: Sdk, upstream: Upstream, options: dict[str, Any]) -> None:
    upstream.then(CALLED, TOLD)
    made = ask(tools=True, options=options)
    assert (made["text"], made["steps"], made["ran"]) == ("20 degrees.", 2, ["Oslo"])
    question, said, result = upstream.received[1].body["messages"]
    assert question["role"] == "user"
    assert said["content"] == "One moment."
    assert said["tool_calls"][0]["id"] == result["tool_call_id"] == "call_a"
    assert result["content"] == "20 degrees in Oslo"


def test_reasoning_that_was_lost_may_be_referred_to(ask: Sdk, upstream: Upstream) -> None:
    upstream.then(Script([reasoning("Hm")], cut=True), CALLED, TOLD)
    made = ask(tools=True, options=REASONING)
    assert (made["text"], made["ran"]) == ("20 degrees.", ["Oslo"])
    assert [each["role"] for each in upstream.received[2].body["messages"]] == [
        "user",
        "assistant",
        "tool",
    ]


def test_it_parses_an_answer_by_its_schema(ask: Sdk, upstream: Upstream) -> None:
    upstream.then(Script(answer('{"city":"Oslo",', '"degrees":20}')))
    assert ask(json=True)["output"] == {"city": "Oslo", "degrees": 20}


def test_it_tells_that_an_answer_was_cut(ask: Sdk, upstream: Upstream) -> None:
    upstream.then(Script(answer("Hel", reason="length")))
    made = ask()
    assert (made["text"], made["finishReason"]) == ("Hel", "length")


def test_it_runs_no_call_that_was_cut(ask: Sdk, upstream: Upstream) -> None:
    upstream.then(Script([call(0, '{"city', "call_a", "weather"), finish("length"), USAGE, DONE]))
    made = ask(tools=True)
    assert (made["finishReason"], made["steps"], made["ran"]) == ("length", 1, [])


def test_it_shows_a_refusal(ask: Sdk, upstream: Upstream) -> None:
    upstream.then(Script([delta(refusal="I cannot."), finish(), USAGE, DONE]))
    assert ask()["text"] == "I cannot."


def test_a_lost_attempt_is_never_joined_to_the_next(ask: Sdk, upstream: Upstream) -> None:
    upstream.then(Script([piece("Hel")], cut=True))
    made = ask()
    if ask.scenario == "generate":
        assert made["text"] == "Hello, world."
    else:
        assert made["finishReason"] == "error"
        assert made["text"] == "Hel"
        assert "begins anew" in made["error"]["message"]
    assert len(upstream.received) <= 2


def test_a_call_that_was_lost_half_way_is_run_once(ask: Sdk, upstream: Upstream) -> None:
    upstream.then(Script([call(0, '{"city":"Ber', "call_0", "weather")], cut=True), CALLED, TOLD)
    assert ask(tools=True)["ran"] == ["Oslo"]


def test_a_request_that_the_model_refuses_is_sent_once(ask: Sdk, upstream: Upstream) -> None:
    upstream.then(refusal(401, "invalid_api_key"))
    assert "API key" in ask()["error"]["message"]
    assert len(upstream.received) == 1


def test_a_model_that_stays_broken_is_an_error(ask: Sdk, upstream: Upstream) -> None:
    upstream.always = refusal(500)
    assert "failed" in ask()["error"]["message"]
    # The queue tries four times. A held completion is repeated by the SDK, which knows no header
    # that would stop it.
    repeats = 3 if (ask.scenario, ask.face) == ("generate", "chat") else 1
    assert len(upstream.received) == 4 * repeats


def test_a_cancelled_answer_is_an_error(ask: Sdk, upstream: Upstream, service: Running) -> None:
    upstream.then(Script([piece("Hel"), gate := Gate()]))
    with cancelling(service, gate):
        made = ask()
    assert "error" in made or made["finishReason"] == "error"
    assert len(upstream.received) == 1
