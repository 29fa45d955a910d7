"""What clients get wrong: each fault is named, and leaves nothing behind."""

import contextlib
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from domain.request import REQUEST_LIMIT
from tests.running import Running, running_service, settings_for

START = "/api/tasks/start"
IMAGE = {"type": "image_url", "image_url": {"url": "http://example.org/cat.png"}}


def fields_at_fault(reply: httpx.Response, status: int = 400) -> set[str]:
    assert reply.status_code == status, reply.text
    assert reply.headers["content-type"] == "application/problem+json"
    body = reply.json()
    assert body["status"] == status
    assert body["type"].startswith("urn:longtask:problem:")
    assert body["title"]
    assert body["detail"]
    assert body["error"]
    return {fault["field"] for fault in body.get("errors", ())}


@pytest.fixture(scope="module")
def service() -> Iterator[Running]:
    """One for all: what these requests leave behind is what they must not."""
    with running_service(settings_for()) as running:
        yield running


@pytest.fixture
def nothing_started(service: Running) -> Iterator[None]:
    """The counters of starts and deliveries stand where they stood."""

    def counters() -> list[str]:
        lines = service.client.http.get("/metrics").text.splitlines()
        return [each for each in lines if re.match(r"longtask_(starts|deliveries)_total", each)]

    before = counters()
    yield
    assert counters() == before


@pytest.mark.usefixtures("nothing_started")
@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"prompt"}),
        ({"prompt": ""}, {"prompt"}),
        ({"prompt": " \n\t"}, {"prompt"}),
        ({"prompt": None}, {"prompt"}),
        ({"prompt": 3}, {"prompt"}),
        ({"prompt": ["x"]}, {"prompt"}),
        ({"messages": []}, {"prompt"}),
        ({"prompt": "x", "messages": [{"role": "user", "content": "y"}]}, {"messages"}),
        ({"messages": [{"role": "robot", "content": "y"}]}, {"messages[0].role"}),
        ({"messages": [{"role": "user"}]}, {"messages[0].content"}),
        ({"messages": [{"role": "user", "content": " "}]}, {"messages[0].content"}),
        (
            {"messages": [{"role": "user", "content": [IMAGE, {"type": "image_url"}]}]},
            {"messages[0].content[0].image_url.url", "messages[0].content[1].image_url"},
        ),
        (
            {"messages": [{"role": "tool", "tool_call_id": "call_1", "content": "4"}]},
            {"messages[0].tool_call_id"},
        ),
        ({"messages": [{"role": "user", "content": "x"}] * 10_001}, {"messages"}),
        ({"prompt": "x", "options": []}, {"options"}),
        (
            {"prompt": "x", "options": {"n": 2, "top_p": 1, "api_key": "k", "extra_body": {}}},
            {"options.n", "options.api_key", "options.extra_body"},
        ),
        ({"prompt": "x", "options": {"stream": False}, "model": 7}, {"options.stream", "model"}),
        ({"prompt": "x", "previousTaskId": 7}, {"previousTaskId"}),
        ({"prompt": "x", "previousTaskId": "a task"}, {"previousTaskId"}),
        ({"prompt": "x", "previousTaskId": "task_1_none"}, {"previousTaskId"}),
        ({"prompt": "x", "model": ""}, {"model"}),
        ({"prompt": "x", "model": "a\nb"}, {"model"}),
        ({"prompt": "x", "maxTokens": 0}, {"maxTokens"}),
        ({"prompt": "x", "maxTokens": 10_000_001}, {"maxTokens"}),
        ({"prompt": "x", "maxTokens": "10"}, {"maxTokens"}),
        ({"prompt": "x", "maxTokens": 1.5}, {"maxTokens"}),
        ({"prompt": "x", "temperature": -0.1}, {"temperature"}),
        ({"prompt": "x", "temperature": 2.1}, {"temperature"}),
        ({"prompt": "x", "temperature": True}, {"temperature"}),
        ({"prompt": "x", "system": ""}, {"system"}),
        ({"prompt": "x", "max_tokens": 5}, {"max_tokens"}),
        ({"prompt": "x", "prefill": "no"}, {"prefill"}),
        ({"prompt": "x", "delay": -1}, {"delay"}),
        ({"prompt": "x", "delay": 604_801}, {"delay"}),
        ({"prompt": "", "delay": 1.5}, {"prompt", "delay"}),
        ({"prompt": "x", "delay": True, "notBefore": False}, {"delay", "notBefore"}),
        ({"prompt": "x", "delay": 1, "notBefore": "2026-11-29T17:46:54Z"}, {"notBefore"}),
        ({"prompt": "", "notBefore": "2999-01-01T00:00:00Z"}, {"prompt", "notBefore"}),
        ({"prompt": "x", "notBefore": 10**300}, {"notBefore"}),
        ({"prompt": "", "notBefore": "tomorrow"}, {"prompt", "notBefore"}),
        ({"prompt": 3, "notBefore": 7}, {"prompt", "notBefore"}),
        ({"prompt": "x", "stream": True}, {"stream"}),
        ({"prompt": "x", "metadata": {str(n): "v" for n in range(17)}}, {"metadata"}),
        ({"prompt": "x", "metadata": {"k": 1}}, {"metadata"}),
        ({"prompt": "", "maxTokens": 0, "temperature": 3}, {"prompt", "maxTokens", "temperature"}),
        ({"prompt": 3, "model": 7, "n": 1, "top": 2}, {"prompt", "model", "n", "top"}),
        ({"prompt": "", "maxTokens": "10"}, {"prompt", "maxTokens"}),
        ({"prompt": "x", "maxTokens": 1.5, "temperature": 9}, {"maxTokens", "temperature"}),
        ({"model": "", "metadata": []}, {"prompt", "model", "metadata"}),
        (
            {"messages": [{"role": "robot", "content": 1}, "y", {"name": "z"}]},
            {
                "messages[0].role",
                "messages[0].content",
                "messages[1]",
                *("messages[2].role", "messages[2].content"),
            },
        ),
        ([], {"body"}),
        ("x", {"body"}),
    ],
)
def test_a_bad_request_names_its_fields(service: Running, body: Any, fields: set[str]) -> None:
    assert fields_at_fault(service.client.http.post(START, json=body)) == fields


@pytest.mark.usefixtures("nothing_started")
@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("prompt", 3, "must be a string"),
        ("temperature", "hot", "must be a number"),
        ("maxTokens", [], "must be a number"),
        ("maxTokens", 1.5, "must be a whole number"),
        ("delay", "1h", "must be a number"),
        ("delay", 604_801, "must be from 0 to 604800"),
        ("notBefore", [], "must be a number or a string"),
        ("notBefore", 1e12 + 0.5, "must be a whole number"),
        ("notBefore", 1_795_000_000, "must be milliseconds since 1970, not seconds"),
        ("notBefore", 9_000_000_000_000, "must be at most 604800 seconds from now"),
        (
            "notBefore",
            "2026-11-29T17:46:54",
            "must be milliseconds since 1970, or a time with its zone such as 2026-11-29T17:46:54Z",
        ),
        ("messages", {}, "must be an array"),
        ("metadata", [], "must be an object"),
        ("metadata", {"k": 1}, "each value must be a string"),
        ("stream", True, "unknown field"),
    ],
)
def test_a_wrong_type_is_told_in_words_of_json(
    service: Running, field: str, value: Any, message: str
) -> None:
    reply = service.client.http.post(START, json={"prompt": "x", field: value})
    assert {"field": field, "message": message} in reply.json()["errors"]


@pytest.mark.usefixtures("nothing_started")
def test_the_faults_that_are_named_are_bounded(service: Running) -> None:
    reply = service.client.http.post(START, json={"messages": [1] * 10_000, "model": 7})
    assert reply.status_code == 400
    assert len(reply.json()["errors"]) == 100


@pytest.mark.usefixtures("nothing_started")
@pytest.mark.parametrize("number", ["1e999", "9" * 5_000])
@pytest.mark.parametrize("field", ["maxTokens", "temperature"])
def test_a_number_that_nobody_can_read_is_named(service: Running, field: str, number: str) -> None:
    content = f'{{"prompt": "x", "{field}": {number}}}'
    headers = {"Content-Type": "application/json"}
    assert fields_at_fault(service.client.http.post(START, content=content, headers=headers)) == {
        field
    }


@pytest.mark.usefixtures("nothing_started")
@pytest.mark.parametrize(
    "content",
    [
        b"{" * 100_000,
        b'{"a":' * 100_000,
        b'{"prompt": "x", "options": {"a": ' + b"[" * 20_000 + b"]" * 20_000 + b"}}",
        b'{"prompt": "x", "options": {"a": ' + b"[" * 101 + b"]" * 101 + b"}}",
        b'{"prompt": "x", "options": {"a": 1' + b"0" * 5_000 + b"}}",
        b'{"prompt": "x", "options": {"a": 1e999}}',
        b'{"messages": [' + b"{}," * 400_000 + b"{}]}",
        b'{"prompt": 3, "maxTokens": 1e999}',
        b'{"temperature": 1' + b"0" * 400 + b"}",
    ],
)
def test_strange_json_is_a_client_error_too(service: Running, content: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    assert fields_at_fault(service.client.http.post(START, content=content, headers=headers))


@pytest.mark.usefixtures("nothing_started")
@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"not json", b'{"prompt": "x"', b'{"prompt": "\xff"}', b'{"prompt": "\\ud800"}'],
)
def test_broken_json_is_a_client_error(service: Running, content: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    assert fields_at_fault(service.client.http.post(START, content=content, headers=headers)) == {
        "body"
    }


@pytest.mark.usefixtures("nothing_started")
@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_another_content_type_is_refused(service: Running, kind: str) -> None:
    headers = {"Content-Type": kind} if kind else {}
    reply = service.client.http.post(START, content=b'{"prompt": "x"}', headers=headers)
    assert fields_at_fault(reply, 415) == {"Content-Type"}


def test_a_content_type_with_a_charset_is_fine(service: Running) -> None:
    headers = {"Content-Type": "application/json; charset=utf-8"}
    reply = service.client.http.post(START, content=b'{"prompt": "x"}', headers=headers)
    assert reply.status_code == 202
    service.client.wait_for(reply.json()["taskId"], "completed")  # else the next test counts it


@pytest.mark.usefixtures("nothing_started")
def test_a_body_above_the_limit_is_refused_as_soon_as_it_passes_it(service: Running) -> None:
    headers = {"Content-Type": "application/json"}
    large = b'{"prompt": "' + b"x" * REQUEST_LIMIT + b'"}'
    assert fields_at_fault(
        service.client.http.post(START, content=large, headers=headers), 413
    ) == {"body"}
    handed = 0

    def chunks() -> Iterator[bytes]:
        nonlocal handed
        while handed < 20 * REQUEST_LIMIT:
            handed += 65_536
            yield large[:65_536]

    with contextlib.suppress(httpx.WriteError):
        reply = service.client.http.post(START, content=chunks(), headers=headers)
        assert fields_at_fault(reply, 413) == {"body"}
    assert handed < 2 * REQUEST_LIMIT


@pytest.mark.parametrize("bad", ["bad id", "a/b", "é", "x" * 129, "-x", "a\x00"])
def test_a_malformed_task_id_is_named(service: Running, bad: str) -> None:
    http = service.client.http
    assert fields_at_fault(http.get(START, params={"taskId": bad})) == {"taskId"}
    assert fields_at_fault(http.get("/api/tasks/stream", params={"taskId": bad})) == {"taskId"}
    query = {"taskId": bad, "prompt": "x"}
    assert fields_at_fault(http.get("/api/qstash/webhook", params=query)) == {"taskId"}


def test_a_malformed_task_id_in_the_path_is_named(service: Running) -> None:
    assert fields_at_fault(service.client.http.get("/api/tasks/bad%20id")) == {"taskId"}
    assert fields_at_fault(service.client.http.post("/api/tasks/bad%20id/cancel")) == {"taskId"}


def test_a_missing_task_id_is_named(service: Running) -> None:
    assert fields_at_fault(service.client.http.get(START)) == {"taskId"}
    assert fields_at_fault(service.client.http.get("/api/tasks/stream")) == {"taskId"}


def test_an_unknown_task_is_not_found(service: Running) -> None:
    http = service.client.http
    for reply in (
        http.get(START, params={"taskId": "task_1_none"}),
        http.get("/api/tasks/task_1_none"),
        http.get("/api/tasks/stream", params={"taskId": "task_1_none"}),
        http.post("/api/tasks/task_1_none/cancel"),
    ):
        fields_at_fault(reply, 404)
        assert reply.json()["type"] == "urn:longtask:problem:unknown-task"


@pytest.mark.parametrize(
    "bad", ["abc", "1", "-1", "a-", "a-b", "a--1", "a-1.5", "a b-1", "x-" + "9" * 30]
)
def test_a_malformed_event_id_is_named(service: Running, bad: str) -> None:
    task_id = service.client.start()
    http = service.client.http
    query = {"taskId": task_id}
    headers = {"Last-Event-ID": bad}
    reply = http.get("/api/tasks/stream", params=query, headers=headers)
    assert fields_at_fault(reply) == {"Last-Event-ID"}
    reply = http.get("/api/tasks/stream", params={**query, "lastEventId": bad})
    assert fields_at_fault(reply) == {"lastEventId"}


def test_a_task_id_and_an_event_id_are_named_together(service: Running) -> None:
    query = {"taskId": "bad id", "lastEventId": "bad"}
    answer = service.client.http.get("/api/tasks/stream", params=query)
    assert fields_at_fault(answer) == {"taskId", "lastEventId"}


def test_addresses_and_methods_that_are_not_there(service: Running) -> None:
    fields_at_fault(service.client.http.get("/nothing"), 404)
    fields_at_fault(service.client.http.delete("/api/tasks/start"), 405)
