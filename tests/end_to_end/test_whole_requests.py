"""Whole requests on their way: what a client gives reaches the model's server as it is, and a task
goes on from another one."""

import base64
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.doubles.upstream import Gate, Script, Upstream, answer, event, finish, piece, refusal
from tests.running import Running, running_service, settings_for

START = "/api/tasks/start"
IMAGE = "data:image/png;base64," + base64.b64encode(bytes(1_500_000)).decode()
TOOLS = [{"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}]
RESULT = {"role": "tool", "tool_call_id": "call_7", "content": "4"}


def _post(service: Running, **body: Any) -> httpx.Response:
    return service.client.http.post(START, json=body)


def _finished(service: Running, status: str = "completed", **body: Any) -> dict[str, Any]:
    response = _post(service, **body)
    assert response.status_code == 202, response.text
    return service.client.wait_for(response.json()["taskId"], status)


def _refusal(response: httpx.Response) -> tuple[int, str, list[str]]:
    body = response.json()
    kind = body["type"].removeprefix("urn:longtask:problem:")
    return response.status_code, kind, [each["field"] for each in body["errors"]]


def _calls(*calls: dict[str, Any]) -> Script:
    delta = {"choices": [{"index": 0, "delta": {"tool_calls": list(calls)}}]}
    return Script([event(delta), finish("tool_calls"), b"data: [DONE]\n\n"])


def test_messages_and_options_reach_the_model_as_they_are(
    service: Running, upstream: Upstream
) -> None:
    messages = [
        {"role": "developer", "content": "Be brief.", "name": "boss"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is it? "},
                {"type": "image_url", "image_url": {"url": IMAGE, "detail": "low"}},
                {"type": "vendors_own", "vendors_own": [1.5, None]},
            ],
        },
    ]
    options = {"tools": TOOLS, "seed": 7, "top_p": 0.5, "stop": ["\n"], "vendor": {"x": None}}
    record = _finished(service, messages=messages, system="S", options=options)
    assert (record["request"]["messages"], record["request"]["options"]) == (messages, options)
    assert record["request"]["history"] is None
    (received,) = upstream.received
    assert received.body["messages"] == [{"role": "system", "content": "S"}, *messages]
    assert {name: received.body[name] for name in options} == options
    assert not received.body.keys() & {"max_tokens", "max_completion_tokens", "temperature"}


def test_prefill_may_be_forbidden_but_not_asked_for_where_there_is_none(
    service: Running, upstream: Upstream
) -> None:
    record = _finished(service, prompt="Hi.", prefill=False)
    assert record["request"]["prefill"] is False
    assert "prefill" not in upstream.received[0].body
    assert _refusal(_post(service, prompt="Hi.", prefill=True)) == (
        400,
        "invalid-request",
        ["prefill"],
    )


def test_a_task_goes_on_from_one_that_called_a_tool(service: Running, upstream: Upstream) -> None:
    call = {"index": 0, "id": "call_7", "function": {"name": "add", "arguments": '{"a": 2}'}}
    upstream.then(_calls(call), Script(answer("Four.")), Script(answer("Yes.")))
    first = _finished(service, prompt="2 and 2?", system="Old.", options={"tools": TOOLS})
    second = _finished(service, messages=[RESULT], previousTaskId=first["taskId"])
    third = _finished(service, prompt="Sure?", system="New.", previousTaskId=second["taskId"])
    made = {"name": "add", "arguments": '{"a": 2}'}
    conversation = [
        {"role": "user", "content": "2 and 2?"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "call_7", "type": "function", "function": made}],
        },
        RESULT,
        {"role": "assistant", "content": "Four."},
    ]
    assert third["request"]["history"] == conversation
    assert third["request"]["prompt"] == "Sure?"
    assert third["request"]["previousTaskId"] == second["taskId"]
    assert upstream.received[2].body["messages"] == [
        {"role": "system", "content": "New."},
        *conversation,
        {"role": "user", "content": "Sure?"},
    ]
    wrong = _post(
        service,
        messages=[{**RESULT, "tool_call_id": "call_8"}],
        previousTaskId=first["taskId"],
    )
    assert _refusal(wrong) == (400, "invalid-request", ["messages[0].tool_call_id"])


def test_a_task_that_cannot_be_gone_on_from_is_refused_by_name(
    service: Running, upstream: Upstream
) -> None:
    def refused(task_id: str) -> tuple[int, str, list[str]]:
        return _refusal(_post(service, prompt="x", previousTaskId=task_id))

    gate = Gate()
    upstream.then(Script([piece("One, tw"), gate]), Script(answer("Three.")), refusal(401))
    running = service.client.start()
    gate.reached.wait(20)
    assert refused(running) == (409, "previous-not-ended", ["previousTaskId"])
    service.client.http.post(f"/api/tasks/{running}/cancel")
    gate.open()
    went_on = _finished(service, prompt="Go on.", previousTaskId=running)
    assert went_on["request"]["history"][1:] == [{"role": "assistant", "content": "One, tw"}]
    failed = _finished(service, "failed", prompt="x")["taskId"]
    assert refused(failed) == (409, "previous-failed", ["previousTaskId"])
    assert refused("task_1_none") == (400, "previous-unknown", ["previousTaskId"])


@pytest.fixture
def strict(upstream: Upstream) -> Iterator[Running]:
    settings = settings_for(
        openai_base_url=upstream.url,
        max_request_bytes=2_000,
        refused_options="seed,top_*",
        allow_http_media=True,
    )
    with running_service(settings) as running:
        yield running


def test_the_operator_bounds_requests(strict: Running, upstream: Upstream) -> None:
    image = {"type": "image_url", "image_url": {"url": "http://example.org/cat.png"}}
    options = {"api_base": "no longer refused"}
    upstream.then(Script(answer("y" * 1_500)))
    task = _finished(strict, messages=[{"role": "user", "content": [image]}], options=options)
    wrong = _post(strict, prompt=5, options={"seed": 1, "top_k": 5})
    assert _refusal(wrong) == (
        *(400, "invalid-request"),
        ["prompt", "options.seed", "options.top_k"],
    )
    assert _refusal(_post(strict, prompt="x" * 2_000)) == (413, "body-too-large", ["body"])
    long = _post(strict, prompt="x" * 1_000, previousTaskId=task["taskId"])
    assert _refusal(long) == (413, "previous-too-long", ["previousTaskId"])
    schemas = strict.client.http.get("/schema/openapi.json").json()["components"]["schemas"]
    assert "[sS]?" in str(schemas["MediaUrl"])
    assert "^top_" in str(schemas["StartBody"]["properties"]["options"])
