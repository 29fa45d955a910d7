"""Every call of openai-node that this service has."""

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
from tests.official.logs import put, text
from tests.official.node.clients import Node
from tests.running import Running

pytestmark = pytest.mark.soak

ANSWER = "Hello, world."
JSON = ('{"city":"Oslo",', '"degrees":20}')
TEXT = [text(each) for each in ("Hello", ", ", "wörld.")]
PARSED = {"city": "Oslo", "degrees": 20}
CALLS = Script([call(0, '{"city":', "call_a", "weather"), call(0, '"Oslo"}'), finish("tool_calls")])


def test_a_response_in_the_background_is_asked_for_until_it_ends(
    service: Running, node: Node, upstream: Upstream
) -> None:
    body = {"background": True, "metadata": {"of": "mine"}, "instructions": "Be brief."}
    seen = node.result("openai_calls", service.url, "create", body=body)
    assert seen["first"]["status"] == "queued"
    assert seen["final"]["status"] == "completed"
    assert seen["final"]["output_text"] == ANSWER
    assert seen["final"]["metadata"] == {"of": "mine"}
    assert seen["final"]["usage"]["total_tokens"] == 8
    assert upstream.received[0].body["messages"][0] == {"role": "system", "content": "Be brief."}


def test_a_response_in_the_foreground_is_waited_for(service: Running, node: Node) -> None:
    seen = node.result("openai_calls", service.url, "create", body={})
    assert seen["first"]["status"] == "completed"
    assert seen["first"]["output_text"] == ANSWER
    assert seen["first"] == seen["final"]


@pytest.mark.parametrize("background", [True, False])
def test_a_response_is_streamed(service: Running, node: Node, background: bool) -> None:
    body = {"background": background, "stream": True}
    seen = node.result("openai_calls", service.url, "create", body=body)
    deltas = [e["delta"] for e in seen["events"] if e["type"] == "response.output_text.delta"]
    assert "".join(deltas) == ANSWER
    assert seen["events"][-1]["type"] == "response.completed"
    assert seen["events"][-1]["response"]["id"] == seen["final"]["id"]


def test_a_running_response_is_cancelled_and_stays_so(
    service: Running, node: Node, upstream: Upstream
) -> None:
    gate = Gate()
    upstream.then(Script([piece("Hel"), gate]))
    body = {"model": "m", "input": "Hi.", "background": True}
    response_id = service.client.http.post("/v1/responses", json=body).json()["id"]
    assert gate.reached.wait(10)
    seen = node.result("openai_calls", service.url, "cancel", id=response_id)
    assert [each["status"] for each in seen] == ["cancelled"] * 3
    gate.open()


def test_an_ended_response_is_not_cancelled(service: Running, node: Node) -> None:
    response_id = "resp_" + put(service, (*TEXT, "stop"))
    seen = node.result("openai_calls", service.url, "cancel", id=response_id)
    assert [each["status"] for each in seen] == ["completed"] * 3


def test_a_deleted_response_is_unknown(service: Running, node: Node) -> None:
    response_id = "resp_" + put(service, (*TEXT, "stop"))
    seen = node.result("openai_calls", service.url, "remove", id=response_id)
    assert seen["removed"] == {"id": response_id, "object": "response", "deleted": True}
    *errors, of_create = seen["errors"]
    assert [each["name"] for each in errors] == ["NotFoundError"] * 4
    assert of_create["param"] == "previous_response_id"


def test_input_items_are_listed_page_by_page(service: Running, node: Node) -> None:
    items = [{"role": "user", "content": f"No. {number}"} for number in range(5)]
    rising, falling = node.result("openai_calls", service.url, "inputItems", input=items, limit=2)
    assert [each["content"][0]["text"] for each in rising] == [each["content"] for each in items]
    assert falling == rising[::-1]


def test_models_are_listed(service: Running, node: Node) -> None:
    listed, one = node.result("openai_calls", service.url, "models")
    assert one == listed[0]
    assert one["object"] == "model"


def test_the_helper_streams_a_new_response(service: Running, node: Node) -> None:
    seen = node.result("openai_calls", service.url, "helper", body={})
    assert seen["final"]["output_text"] == ANSWER


@pytest.mark.parametrize("end", ["length", "cancelled", "failed"])
def test_the_helper_tells_how_a_response_ended(service: Running, node: Node, end: str) -> None:
    response_id = "resp_" + put(service, (*TEXT, end))
    seen = node.result("openai_calls", service.url, "helperById", id=response_id)
    statuses = {"length": "incomplete", "cancelled": "cancelled", "failed": "failed"}
    assert seen["final"]["status"] == statuses[end]
    assert seen["final"]["output"][0]["content"][0]["text"] == "Hello, wörld."


def test_a_resumed_attempt_goes_on_with_its_items(service: Running, node: Node) -> None:
    response_id = "resp_" + put(service, (*TEXT[:2], "resumed", *TEXT[2:], "stop"))
    seen = node.result("openai_calls", service.url, "helperById", id=response_id)
    deltas = [e["delta"] for e in seen["events"] if e["type"] == "response.output_text.delta"]
    assert "".join(deltas) == seen["final"]["output_text"] == "Hello, wörld."


@pytest.mark.parametrize("scenario", ["parse", "parseStream"])
def test_an_answer_is_parsed_by_its_schema(
    service: Running, node: Node, upstream: Upstream, scenario: str
) -> None:
    upstream.then(Script(answer(*JSON)))
    seen = node.result("openai_calls", service.url, scenario)
    assert (seen["parsed"] if scenario == "parse" else seen) == PARSED


def test_half_an_answer_that_was_lost_is_not_parsed(
    service: Running, node: Node, upstream: Upstream
) -> None:
    upstream.then(Script([piece('{"city":"Ber')], cut=True), Script(answer(*JSON)))
    assert node.result("openai_calls", service.url, "parseStream") == PARSED


def test_a_call_that_was_lost_half_way_is_told_once(
    service: Running, node: Node, upstream: Upstream
) -> None:
    half = Script([call(0, '{"city":', "call_a", "weather")], cut=True)
    whole = [call(0, "".join(JSON), "call_b", "weather"), finish("tool_calls"), USAGE, DONE]
    upstream.then(half, Script(whole))
    assert node.result("openai_calls", service.url, "parseCall") == [PARSED]


@pytest.mark.parametrize("by_id", [True, False])
def test_results_of_tools_are_sent_back(
    service: Running, node: Node, upstream: Upstream, by_id: bool
) -> None:
    called = [reasoning("Let me look."), piece("One moment."), *CALLS.steps]
    upstream.then(Script(called), Script(answer("20 degrees.")))
    seen = node.result("openai_calls", service.url, "toolLoop", byId=by_id)
    assert seen == "20 degrees."
    question, said, result = upstream.received[1].body["messages"]
    assert question["role"] == "user"
    assert said["content"] == "One moment."
    assert said["tool_calls"][0]["id"] == result["tool_call_id"] == "call_a"
    assert result["content"] == "20 degrees"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"temperature": 9}, "temperature"),
        ({"previous_response_id": "resp_unknown"}, "previous_response_id"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(
    service: Running, node: Node, body: dict[str, Any], param: str
) -> None:
    error = node.result("openai_calls", service.url, "outcome", body=body)["error"]
    assert (error["status"], error["param"]) == (400, param)


def test_a_failed_response_is_returned_and_not_asked_for_again(
    service: Running, node: Node, upstream: Upstream
) -> None:
    upstream.then(refusal(401, "invalid_api_key"))
    value = node.result("openai_calls", service.url, "outcome", body={})["value"]
    assert value["status"] == "failed"
    assert value["error"]["message"]
    assert len(upstream.received) == 1


def test_a_response_of_the_native_api_is_read(service: Running, node: Node) -> None:
    task_id = service.client.start("Hi.")
    service.client.wait_for(task_id, "completed")
    seen = node.result("openai_calls", service.url, "retrieve", id=f"resp_{task_id}")
    assert seen["output_text"] == ANSWER


def test_a_number_that_the_stream_never_had_is_told_from_the_first_event(
    service: Running, node: Node
) -> None:
    response_id = "resp_" + put(service, (*TEXT, "stop"))
    seen = node.result(
        "openai_calls", service.url, "resume", id=response_id, starting_after=256 * 9_999
    )
    assert seen[0]["type"] == "response.created"
