"""GET /api/tasks/{taskId}/result: the record at the end of a task, or as it stands in time."""

import json
import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from dependency_injector import providers

from application.errors import StoreUnavailable
from application.ports import ForwardingTaskLog, Page
from entrypoints.container import Container
from tests.doubles.upstream import Gate, Script, Upstream, answer, piece
from tests.end_to_end.chat_client import streams_of
from tests.raw_http import connect
from tests.running import Running, running_service, settings_for
from tests.waiting import eventually, within


def _begun(service: Running, upstream: Upstream, *rest: bytes) -> tuple[str, Gate]:
    """A task that has said "So far", and what holds the rest back."""
    gate = Gate()
    upstream.then(Script([piece("So far"), gate, *(rest or answer(", and on."))]))
    task_id = service.client.start()
    eventually(lambda: service.client.record(task_id)["text"] == "So far")
    return task_id, gate


def _result(service: Running, task_id: str, wait: float | str = 300) -> httpx.Response:
    path = f"{service.url}/api/tasks/{task_id}/result?wait={wait}"
    return httpx.get(path, timeout=within(20))


@contextmanager
def _held(service: Running, task_id: str, wait: float = 300) -> Iterator[httpx.Response]:
    """A response whose head is out."""
    path = f"{service.url}/api/tasks/{task_id}/result?wait={wait}"
    with httpx.stream("GET", path, timeout=within(20)) as response:
        assert response.status_code == 200
        assert response.headers["content-type"] == "application/json"
        yield response


@contextmanager
def _waiting(service: Running, task_id: str, **headers: str) -> Iterator[None]:
    """A client that hangs up in the end. While it waits, it is the only one."""
    fields = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    request = (
        f"GET /api/tasks/{task_id}/result?wait=300 HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n"
    )
    with connect(service.url) as connection:
        connection.sendall(request.encode())
        eventually(lambda: streams_of(service) == 1)
        yield


@pytest.mark.parametrize("head_is_out", [True, False])
def test_it_is_the_whole_record_once_the_task_has_ended(
    hurried: Running, retrying: Running, scripted: Upstream, head_is_out: bool
) -> None:
    service = hurried if head_is_out else retrying
    task_id, gate = _begun(service, scripted)
    with ThreadPoolExecutor() as threads:
        if head_is_out:
            with _held(service, task_id) as response:
                arriving = response.iter_bytes()
                assert (next(arriving) + next(arriving)).strip() == b""
                gate.open()
                record = json.loads(b"".join(arriving))
        else:
            waiting = threads.submit(_result, service, task_id)
            eventually(lambda: streams_of(service) == 1)
            gate.open()
            record = waiting.result(within(20)).json()
    assert (record["status"], record["text"]) == ("completed", "So far, and on.")
    assert record == service.client.record(task_id)
    assert _result(service, task_id).json() == record, "it is there at once"
    eventually(lambda: streams_of(service) == 0)


@pytest.mark.parametrize("wait", [0, 0.05, 0.5])
def test_it_is_the_record_as_it_stands_when_the_time_is_over(
    hurried: Running, scripted: Upstream, wait: float
) -> None:
    """At once, before the head is out, and behind it."""
    task_id, gate = _begun(hurried, scripted)
    response = _result(hurried, task_id, wait)
    assert response.content.startswith(b" ") is (wait == 0.5)
    assert (response.json()["status"], response.json()["text"]) == ("running", "So far")
    gate.open()


@pytest.mark.parametrize("wait", ["301", "-1", "nan", "inf", "1_0", "soon", "", "300.1", "1e999"])
def test_what_is_at_fault_is_named_at_once(retrying: Running, wait: str) -> None:
    response = _result(retrying, "-", wait)
    assert response.status_code == 400
    assert [each["field"] for each in response.json()["errors"]] == ["taskId", "wait"]
    assert _result(retrying, "task_1_nobody").status_code == 404


def test_a_client_that_goes_away_frees_everything_and_cancels_nothing(
    retrying: Running, scripted: Upstream
) -> None:
    task_id, gate = _begun(retrying, scripted)
    follow_task = retrying.service.container.use_cases().follow_task
    channels = retrying.service.container.hub()._channels[task_id]
    before = len(channels.subscribers)
    with _waiting(retrying, task_id, **{"X-Longtask-On-Disconnect": "cancel"}):
        eventually(lambda: len(channels.subscribers) == before + 1)
    eventually(lambda: streams_of(retrying) == 0)
    assert (len(channels.subscribers), follow_task._open) == (before, 0)
    gate.open()
    assert retrying.client.wait_for(task_id, "completed")["text"] == "So far, and on."


def test_a_held_wait_counts_as_a_stream_and_nothing_else_does(upstream: Upstream) -> None:
    settings = settings_for(openai_base_url=upstream.url, address_limits="streams=1")
    with running_service(settings) as service:
        task_id, gate = _begun(service, upstream)
        with _waiting(service, task_id):
            refused = _result(service, task_id)
            assert refused.status_code == 429
            assert refused.json()["type"] == "urn:longtask:problem:too-many-streams"
            assert _result(service, task_id, 0).status_code == 200
            head = httpx.head(f"{service.url}/api/tasks/{task_id}/result")
            assert (head.status_code, head.headers["content-type"]) == (200, "application/json")
            gate.open()
            service.client.wait_for(task_id, "completed")
            eventually(lambda: streams_of(service) == 0)
        assert _result(service, task_id).status_code == 200


@pytest.mark.parametrize("head_is_out", [True, False])
def test_a_service_that_stops_tells_how_it_stands(upstream: Upstream, head_is_out: bool) -> None:
    ping = 0.1 if head_is_out else 3_600.0
    settings = settings_for(openai_base_url=upstream.url, sse_ping_interval=ping, grace=0.1)
    with ThreadPoolExecutor() as threads:
        with running_service(settings) as service:
            task_id, _ = _begun(service, upstream)
            waiting = threads.submit(_result, service, task_id)
            eventually(lambda: streams_of(service) == 1)
        response = waiting.result(within(20))
    assert response.status_code == 200
    assert response.json()["status"] in ("running", "pending")


def test_a_task_that_is_deleted_meanwhile_is_cancelled_or_unknown(
    retrying: Running, scripted: Upstream
) -> None:
    task_id, _ = _begun(retrying, scripted)
    with ThreadPoolExecutor() as threads:
        waiting = threads.submit(_result, retrying, task_id)
        eventually(lambda: streams_of(retrying) == 1)
        retrying.client.http.delete(f"/api/tasks/{task_id}")
        response = waiting.result(within(20))
    told: dict[str, Any] = response.json()
    assert (response.status_code, told["status"]) in ((200, "cancelled"), (404, 404))
    assert _result(retrying, task_id).status_code == 404


class Ending(ForwardingTaskLog):
    """Its next task ends just before its log is read, and behind the look at its record."""

    ends = False

    async def read(self, task_id: str, after: int, limit: int) -> Page:
        if self.ends:
            self.ends = False
            await super().cancel(task_id, 1)
        return await super().read(task_id, after, limit)


def test_a_task_that_ends_while_the_wait_begins_is_not_waited_for(upstream: Upstream) -> None:
    settings = settings_for(openai_base_url=upstream.url, address_limits="streams=1")
    with (
        Container.tasks.override(providers.Singleton(Ending, Container.measured_tasks)),
        running_service(settings) as service,
    ):
        for _ in range(2):  # the slot is free again
            task_id, _ = _begun(service, upstream)
            service.service.container.tasks().ends = True
            record = _result(service, task_id).json()
            assert (record["status"], record["text"]) == ("cancelled", "So far")
        eventually(lambda: streams_of(service) == 0)


class Readable(ForwardingTaskLog):
    """A log of which so many pages more can be read."""

    pages = math.inf

    async def read(self, task_id: str, after: int, limit: int) -> Page:
        self.pages -= 1
        if self.pages < 0:
            raise StoreUnavailable("away")
        return await super().read(task_id, after, limit)


def test_a_long_record_comes_in_pages_and_never_in_part(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("application.manage_task.PAGE", 2)
    words = [f"{number} " for number in range(100)]
    settings = settings_for(openai_base_url=upstream.url, sse_ping_interval=0.1)
    with (
        Container.tasks.override(providers.Singleton(Readable, Container.measured_tasks)),
        running_service(settings) as service,
    ):
        tasks = service.service.container.tasks()
        task_id, gate = _begun(service, upstream, *answer(*words))
        with _held(service, task_id) as whole, _held(service, task_id, 0.3) as broken:
            arriving = whole.iter_raw()
            assert next(arriving).strip() == b""
            tasks.pages = 0
            with pytest.raises(httpx.HTTPError):
                broken.read()
            tasks.pages = math.inf
            gate.open()
            record = json.loads(b"".join(arriving))
        assert record["text"] == "So far" + "".join(words)
        assert "without completing response" not in caplog.text
        assert record == service.client.record(task_id)
