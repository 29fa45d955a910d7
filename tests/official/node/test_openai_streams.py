"""openai-node reads streams of logs of every kind: cut and resumed after every event, it misses
nothing, hears nothing twice, and ends with the same response."""

from collections.abc import Iterator
from typing import Any

import pytest

from domain.events import ReasoningAdded, ToolCallAdded
from tests.doubles.upstream import DONE, USAGE, Script, Upstream, call, finish, piece, reasoning
from tests.official.logs import KINDS, PLACES, put
from tests.official.node.clients import Node
from tests.running import Running

pytestmark = pytest.mark.soak

ECHOES: dict[str, dict[str, Any]] = {"text": {}, "summary": {"summary": "auto"}}


@pytest.mark.parametrize("form", ECHOES)
def test_every_kind_of_log_is_read_in_any_two_parts(
    service: Running, node: Node, form: str
) -> None:
    logs = {
        name: steps
        for name, steps in {**KINDS, **PLACES}.items()
        if form == "text" or any(isinstance(step, ReasoningAdded) for step in steps)
    }
    names = {"resp_" + put(service, log, echo=ECHOES[form]): name for name, log in logs.items()}
    seen = node.run("openai_streams", service.url, "whole", ids=list(names))
    assert [each["id"] for each in seen] == list(names)
    for each in seen:
        log = logs[names[each["id"]]]
        added = [e["item"]["id"] for e in each["events"] if e["type"].endswith("item.added")]
        done = [e["item"]["id"] for e in each["events"] if e["type"].endswith("item.done")]
        assert sorted(added) == sorted(done), names[each["id"]]
        if not any(isinstance(step, ToolCallAdded) for step in log):
            assert not [e for e in each["events"] if "function_call" in e["type"]]


def slowly(*steps: bytes) -> Iterator[bytes | float]:
    """What connections come and go in between of."""
    for step in steps:
        yield step
        yield 0.05


def test_a_running_task_is_read_by_one_connection_for_each_event(
    service: Running, node: Node, upstream: Upstream
) -> None:
    said = [reasoning("Let me "), reasoning("think."), piece("Hel"), piece("lo.")]
    called = [call(0, '{"a":', "call_a", "weather"), call(0, "1}"), finish("tool_calls")]
    upstream.then(Script(slowly(*said[:3]), cut=True), Script(slowly(*said, *called, USAGE, DONE)))
    body = {"model": "test-model", "input": "Hi.", "reasoning": {"summary": "auto"}}
    seen = node.result("openai_streams", service.url, "oneByOne", body=body)
    assert seen["connections"] > 20
    output = seen["final"]["output"]
    assert [each["type"] for each in output] == ["reasoning", "message", "function_call"]
    assert output[1]["content"][0]["text"] == "Hello."


def test_a_foreground_stream_ends_where_an_attempt_is_lost_and_is_resumed_there(
    service: Running, node: Node, upstream: Upstream
) -> None:
    upstream.then(Script([reasoning("Hm."), piece("Hel")], cut=True))
    body = {"model": "test-model", "input": "Hi."}
    seen = node.result("openai_streams", service.url, "foreground", body=body)
    assert seen["told"]["status"] == "failed"
    assert seen["told"]["error"]["code"] == "attempt_lost"
    assert seen["told"]["output"][-1]["content"][0]["text"] == "Hel"
    assert seen["final"]["status"] == "completed"
    assert seen["final"]["output"][-1]["content"][0]["text"] == "Hello, world."
