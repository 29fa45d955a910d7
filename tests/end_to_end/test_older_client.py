"""The page of the older system works unchanged.

What it does: POST to /api/tasks/start reading `success` and `taskId`; an EventSource whose
onmessage switches on `type`, and that is never closed; GET /api/tasks/start for the status; `error`
in any failed answer. It knows nothing of event ids or problem details. When the server closes the
stream, its onerror writes over what it shows. tests/browser/test_older_page.py has it in a browser.
"""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from tests.doubles.upstream import Script, Upstream, answer, refusal
from tests.running import Running, running_service, settings_for
from tests.waiting import eventually, within

INTERRUPTED = "connection interrupted"
EVENT_SOURCE = {
    "Accept": "text/event-stream",
    "Cache-Control": "no-cache",
    "Sec-Fetch-Dest": "empty",
    "Sec-Fetch-Mode": "cors",
    "Sec-Fetch-Site": "same-origin",
}
"""Headers of a browser's EventSource."""


@dataclass
class OlderPage:
    http: httpx.Client
    task_id: str = ""
    result: str = ""
    status: str = ""
    error: str = ""
    connected: bool = False
    ended: bool = False
    pings: int = 0
    """Comments behind the end."""
    unknown: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def submit(self, prompt: str) -> None:
        body = {"prompt": prompt, "model": "gpt-3.5-turbo", "maxTokens": 1000, "temperature": 0.7}
        reply = self.http.post("/api/tasks/start", json=body).json()
        if not reply.get("success"):
            self.error = reply["error"]
            return
        self.task_id = reply["taskId"]
        assert reply["messageId"]
        assert reply["message"] == "Task queued successfully"

    def listen(self) -> None:
        """Open an EventSource, and return once the task's end is shown and has stayed for a
        while."""
        threading.Thread(target=self._read, daemon=True).start()
        eventually(lambda: self.pings >= 3 or self.broken)
        assert not self.broken

    def _read(self) -> None:
        url = f"/api/tasks/stream?taskId={self.task_id}"
        try:
            with self.http.stream("GET", url, headers=EVENT_SOURCE) as source:
                for line in source.iter_lines():
                    if line.startswith("data: "):
                        self.onmessage(json.loads(line.removeprefix("data: ")))
                    elif self.ended and line.startswith(":"):
                        self.pings += 1
        except httpx.TransportError:
            pass
        except (AssertionError, KeyError) as error:
            self.broken.append(repr(error))
        self.onerror()

    def onmessage(self, message: dict[str, object]) -> None:
        assert message["taskId"] == self.task_id
        assert isinstance(message["timestamp"], int)
        data = str(message.get("data"))
        match message["type"]:
            case "connected":
                self.connected = True
            case "content":
                self.result += data
            case "status":
                self.status = data
            case "end":
                self.ended = True
            case "error":
                self.error = data
                self.ended = True
            case other:
                self.unknown.append(str(other))

    def onerror(self) -> None:
        self.error = self.result = self.status = INTERRUPTED
        self.broken.append(INTERRUPTED)

    def poll(self) -> dict[str, str | None]:
        reply = self.http.get(f"/api/tasks/start?taskId={self.task_id}")
        answer: dict[str, str | None] = reply.json()
        return answer


@pytest.fixture(scope="module")
def service(shared_upstream: Upstream) -> Iterator[Running]:
    settings = settings_for(
        openai_api_key="sk-planted-secret",
        openai_base_url=shared_upstream.url,
        sse_ping_interval=0.2,
    )
    with running_service(settings) as running:
        yield running


@pytest.fixture
def upstream(scripted: Upstream) -> Upstream:
    return scripted


@pytest.fixture
def page(service: Running) -> Iterator[OlderPage]:
    with httpx.Client(base_url=service.url, timeout=within(20)) as http:
        yield OlderPage(http)


def test_a_task_from_prompt_to_result(page: OlderPage, upstream: Upstream) -> None:
    upstream.then(Script(answer("写", "一个", "故事")))
    page.submit("写一个关于人工智能的短故事")
    page.listen()
    assert page.connected
    assert page.result == "写一个故事"
    assert page.status == "completed"
    assert page.error == ""
    assert page.unknown == []
    assert page.poll() == {"taskId": page.task_id, "status": "completed", "error": None}
    assert upstream.received[0].body["model"] == "gpt-3.5-turbo"


def test_a_failure_is_told(page: OlderPage, upstream: Upstream) -> None:
    upstream.then(refusal(401, "invalid_api_key"))
    page.submit("Hi.")
    page.listen()
    assert page.status == "failed"
    assert "API key" in page.error
    assert page.poll() == {"taskId": page.task_id, "status": "failed", "error": page.error}


def test_a_task_that_has_ended_before_is_shown_and_stays(
    service: Running, page: OlderPage, upstream: Upstream
) -> None:
    upstream.then(Script(answer("All ", "of it")))
    page.submit("Hi.")
    service.client.wait_for(page.task_id, "completed")
    page.listen()
    assert (page.result, page.status, page.error) == ("All of it", "completed", "")


def test_a_refused_start_is_told(page: OlderPage) -> None:
    page.submit("")
    assert page.task_id == ""
    assert "prompt" in page.error


@pytest.mark.parametrize(
    ("method", "path", "sent", "status"),
    [
        ("POST", "/api/tasks/start", {"json": {"prompt": "Hi."}}, 202),
        ("POST", "/api/tasks/start", {"content": b'{"prompt": "Hi."}'}, 415),
        ("POST", "/api/tasks/start", {"json": {"prompt": "Hi.", "stream": True}}, 400),
        ("GET", "/api/tasks/start?taskId=task_1234567890_abcdef123", {}, 404),
        ("GET", "/api/tasks/stream?taskId=task_1234567890_abcdef123", {}, 404),
        ("GET", "/api/tasks/start", {}, 400),
        ("GET", "/api/tasks/start?taskId=task_1_a&taskId=task_1_a", {}, 400),
    ],
)
def test_what_differs_from_the_older_system(
    service: Running, method: str, path: str, sent: dict[str, Any], status: int
) -> None:
    """docs/older-system.md has the table, with the reasons."""
    reply = service.client.http.request(method, path, **sent)
    assert reply.status_code == status
    body = reply.json()
    assert body["success"] if status == 202 else isinstance(body["error"], str)
    if status == 202:
        service.client.wait_for(body["taskId"], "completed")
