"""@openai/agents, over responses (its default) and over chat completions."""

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
    finish,
    piece,
    reasoning,
    refusal,
)
from tests.official.node.cancelling import cancelling
from tests.official.node.clients import Node
from tests.running import Running

pytestmark = pytest.mark.soak

CALLED = [call(0, '{"city":"Oslo"}', "call_a", "weather"), finish("tool_calls"), USAGE, DONE]


class Agent:
    def __init__(self, node: Node, service: Running, scenario: str, responses: bool) -> None:
        self.scenario, self.responses = scenario, responses
        self._node, self._service = node, service

    def __call__(self, **given: Any) -> Any:
        return self._node.result(
            "agents", self._service.url, self.scenario, useResponses=self.responses, **given
        )


@pytest.fixture(params=[True, False], ids=["responses", "chat"])
def responses(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture(params=["answer", "streamed"])
def ask(node: Node, service: Running, responses: bool, request: pytest.FixtureRequest) -> Agent:
    return Agent(node, service, request.param, responses)


def test_it_gets_an_answer(ask: Agent, upstream: Upstream) -> None:
    assert ask()["value"]["output"] == "Hello, world."
    assert len(upstream.received) == 1


def test_it_runs_tools(ask: Agent, upstream: Upstream) -> None:
    thought = [reasoning("Let me look."), piece("One moment.")]
    upstream.then(Script([*thought, *CALLED]), Script(answer("20 degrees.")))
    made = ask()["value"]
    assert (made["output"], made["ran"]) == ("20 degrees.", ["Oslo"])
    *_, said, result = upstream.received[1].body["messages"]
    assert said["tool_calls"][0]["id"] == result["tool_call_id"] == "call_a"


def test_it_parses_an_answer_by_its_schema(ask: Agent, upstream: Upstream) -> None:
    upstream.then(Script(answer('{"city":"Oslo",', '"degrees":20}')))
    assert ask(json=True)["value"]["output"] == {"city": "Oslo", "degrees": 20}


def test_a_call_that_was_lost_half_way_is_run_once(ask: Agent, upstream: Upstream) -> None:
    half = Script([call(0, '{"city":"Ber', "call_0", "weather")], cut=True)
    upstream.then(half, Script(CALLED), Script(answer("20 degrees.")))
    made = ask()["value"]
    assert (made["output"], made["ran"]) == ("20 degrees.", ["Oslo"])


def test_a_lost_attempt_is_never_joined_to_the_next(ask: Agent, upstream: Upstream) -> None:
    upstream.then(Script([piece("Hel")], cut=True))
    made = ask()
    if ask.scenario == "answer":
        assert made["value"]["output"] == "Hello, world."
    else:
        assert "error" in made


def test_reasoning_alone_is_an_answer(ask: Agent, upstream: Upstream) -> None:
    upstream.then(Script([reasoning("Let me think."), finish(), USAGE, DONE]))
    made = ask()["value"]
    if (ask.scenario, ask.responses) == ("streamed", False):
        assert made["output"] == "Hello, world."  # it asks again: its chunks know no empty text
    else:
        assert made["output"] == ""


def test_a_failed_answer_is_an_error_and_not_asked_for_again(
    ask: Agent, upstream: Upstream
) -> None:
    upstream.then(refusal(401, "invalid_api_key"))
    assert "error" in ask()
    assert len(upstream.received) == 1


def test_a_cancelled_answer_is_an_error(ask: Agent, upstream: Upstream, service: Running) -> None:
    upstream.then(Script([piece("Hel"), gate := Gate()]))
    with cancelling(service, gate):
        made = ask()
    assert "error" in made
    assert len(upstream.received) == 1


def test_it_goes_on_from_its_last_response(
    node: Node, service: Running, upstream: Upstream
) -> None:
    Agent(node, service, "continued", responses=True)()
    said = [each["content"] for each in upstream.received[1].body["messages"]]
    assert said == ["Be brief.", "My name is Ada.", "Hello, world.", "What is my name?"]
