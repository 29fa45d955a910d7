"""The API's description at /schema: whole, true, and with no need of the internet."""

import re
from typing import Any

import msgspec
import pytest

from entrypoints.http.native.event_bodies import StreamEvent
from tests.doubles.upstream import Script, Upstream, answer, event, finish, piece, refusal
from tests.running import Running


def _delta(**delta: Any) -> bytes:
    return event({"choices": [{"index": 0, "delta": delta}]})


EVERYTHING = [
    _delta(reasoning_content="Hm."),
    _delta(content="No. ", annotations=[{"type": "url_citation", "url_citation": {"url": "x"}}]),
    _delta(refusal="I cannot."),
    _delta(tool_calls=[{"index": 0, "id": "c", "function": {"name": "f", "arguments": "{"}}]),
    _delta(tool_calls=[{"index": 0, "function": {"arguments": "}"}}]),
    finish("tool_calls"),
    b"data: [DONE]\n\n",
]


def test_every_route_is_described(shared_service: Running) -> None:
    schema = shared_service.client.http.get("/schema/openapi.json").json()
    routes = {(method, path) for path, item in schema["paths"].items() for method in item}
    assert routes == {
        ("post", "/api/tasks/start"),
        ("get", "/api/tasks/start"),
        ("get", "/api/me"),
        ("get", "/api/tasks"),
        ("get", "/api/tasks/events"),
        ("get", "/api/tasks/stream"),
        ("get", "/api/tasks/{taskId}"),
        ("delete", "/api/tasks/{taskId}"),
        ("post", "/api/tasks/{taskId}/cancel"),
        ("get", "/api/tasks/{taskId}/result"),
        ("get", "/api/tasks/{taskId}/stream"),
        ("post", "/api/tasks/{taskId}/retry"),
        ("get", "/api/usage"),
        ("post", "/api/qstash/webhook"),
        ("get", "/api/qstash/webhook"),
        ("post", "/api/qstash/failure"),
        ("get", "/healthz"),
        ("get", "/readyz"),
        ("get", "/metrics"),
    }
    assert list(schema["paths"])[:10] == [
        "/api/me",
        "/api/tasks",
        "/api/tasks/events",
        "/api/tasks/start",
        "/api/tasks/stream",
        "/api/tasks/{taskId}",
        "/api/tasks/{taskId}/cancel",
        "/api/tasks/{taskId}/result",
        "/api/tasks/{taskId}/retry",
        "/api/tasks/{taskId}/stream",
    ]
    assert [each["name"] for each in schema["tags"]] == ["tasks", "usage", "operation", "qstash"]
    operations = {
        each["operationId"] for item in schema["paths"].values() for each in item.values()
    }
    assert operations == {
        *("startTask", "getTaskStatus", "followTask", "followTaskByPath", "getTask", "cancelTask"),
        *("deleteTask", "retryTask", "awaitTask", "listTasks", "watchTasks", "getMe"),
        *("getUsage", "getHealth", "getReadiness", "getMetrics"),
        *("deliverTask", "reportExhaustedDeliveries", "runTask"),
    }
    start = schema["paths"]["/api/tasks/start"]["post"]
    assert {"202", "400", "413", "415", "422", "502", "503"} <= start["responses"].keys()
    assert "application/problem+json" in start["responses"]["400"]["content"]
    body = start["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    prompt = schema["components"]["schemas"][body.rpartition("/")[2]]["properties"]["prompt"]
    assert prompt["examples"]
    record = schema["paths"]["/api/tasks/{taskId}"]["get"]["responses"]["200"]["content"]
    assert record["application/json"]["schema"] == {"$ref": "#/components/schemas/TaskBody"}
    *_, wait = schema["paths"]["/api/tasks/{taskId}/result"]["get"]["parameters"]
    bounds = {"type": "number", "minimum": 0, "maximum": 300, "default": 30}
    assert (wait["name"], wait["required"]) == ("wait", False)
    assert bounds.items() <= wait["schema"].items()
    names = {each["name"] for each in schema["paths"]["/api/tasks/stream"]["get"]["parameters"]}
    assert names == {"taskId", "lastEventId", "Last-Event-ID"}
    names = {each["name"] for each in schema["paths"]["/api/tasks/events"]["get"]["parameters"]}
    assert names == {"lastEventId", "Last-Event-ID"}
    listing = {each["name"]: each for each in schema["paths"]["/api/tasks"]["get"]["parameters"]}
    assert set(listing) == {
        *("status", "model", "metadata", "createdAfter", "createdBefore", "limit", "after")
    }
    assert (listing["metadata"]["style"], listing["metadata"]["explode"]) == ("deepObject", True)


def test_the_events_of_a_stream_are_described_as_they_are(
    service: Running, upstream: Upstream
) -> None:
    schema = service.client.http.get("/schema/openapi.json").json()
    stream = schema["paths"]["/api/tasks/stream"]["get"]["responses"]["200"]["content"]
    fields = stream["text/event-stream"]["schema"]["properties"]
    assert fields["data"]["contentSchema"] == {"$ref": "#/components/schemas/StreamEvent"}
    union = schema["components"]["schemas"]["StreamEvent"]["oneOf"]
    named = {each["$ref"].rpartition("/")[2] for each in union}
    kinds = {schema["components"]["schemas"][name]["properties"]["type"]["const"] for name in named}
    pieces = {"content", "reasoning", "tool_call"}
    of_hosted_tools = {"item"}  # which only an upstream that speaks the Responses API has
    assert kinds == {"connected", "status", *pieces, *of_hosted_tools, "end", "error"}
    upstream.then(
        Script([piece("lost")], cut=True),
        Script(answer("Whole.")),
        Script(EVERYTHING),
        refusal(401),
    )
    streams = [service.client.events(service.client.start()) for _ in range(3)]
    seen = [each.data for stream in streams for each in stream.events]
    assert {each["type"] for each in seen} == kinds - of_hosted_tools
    assert any("reason" in each for each in seen)
    names = {name for each in seen for name in each}
    assert {"reasoning", "toolCalls", "refusal", "annotations", "usage"} <= names
    for each in seen:
        assert msgspec.to_builtins(msgspec.convert(each, StreamEvent)) == each


@pytest.mark.parametrize("path", ["/schema", "/schema/swagger"])
def test_the_page_takes_everything_from_the_service_itself(
    shared_service: Running, path: str
) -> None:
    http = shared_service.client.http
    page = http.get(path)
    assert page.headers["content-type"].startswith("text/html")
    loaded = re.findall(r"""<(?:script|link)[^>]*(?:src|href)=["']([^"']+)""", page.text)
    assert len(loaded) >= 4
    for address in loaded:
        assert address.startswith("/"), address
        assert http.get(address).status_code == 200, address


def test_a_request_id_is_taken_or_given(shared_service: Running) -> None:
    http = shared_service.client.http
    assert (
        http.get("/healthz", headers={"X-Request-Id": "abc-1"}).headers["x-request-id"] == "abc-1"
    )
    given = http.get("/nothing", headers={"X-Request-Id": "no good"}).headers["x-request-id"]
    assert re.fullmatch(r"[0-9a-f]{32}", given)


def test_figures_for_prometheus(service: Running) -> None:
    service.client.wait_for(service.client.start(), "completed")
    page = service.client.http.get("/metrics")
    assert page.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "longtask_starts_total 1.0" in page.text
    assert 'longtask_deliveries_total{status="200"} 1.0' in page.text
