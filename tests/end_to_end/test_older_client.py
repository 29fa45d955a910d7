"""A client written for the older system works unchanged.

What such a client does, taken from that system's documented API: POST to /api/tasks/start reading
`success` and `taskId`; an EventSource whose onmessage switches on `type`; GET /api/tasks/start for
the status; `error` in any failed answer. It knows nothing of event ids or problem details.
"""

import json
from dataclasses import dataclass, field

import httpx
import httpx_sse

from tests.doubles.upstream import Script, Upstream, answer, refusal
from tests.running import Running


@dataclass
class OlderClient:
    http: httpx.Client
    task_id: str = ""
    result: str = ""
    status: str = ""
    error: str = ""
    connected: bool = False
    closed: bool = False
    unknown: list[str] = field(default_factory=list)

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
        """An EventSource: only events without a name reach onmessage."""
        url = f"/api/tasks/stream?taskId={self.task_id}"
        with httpx_sse.connect_sse(self.http, "GET", url) as source:
            for message in source.iter_sse():
                if message.event == "message":
                    self.onmessage(message.data)
                if self.closed:
                    return

    def onmessage(self, data: str) -> None:
        message = json.loads(data)
        assert message["taskId"] == self.task_id
        assert isinstance(message["timestamp"], int)
        match message["type"]:
            case "connected":
                self.connected = True
            case "content":
                self.result += message["data"]
            case "status":
                self.status = message["data"]
            case "end":
                self.result = message["data"]
                self.closed = True
            case "error":
                self.error = message["data"]
                self.closed = True
            case other:
                self.unknown.append(other)

    def poll(self) -> dict[str, str | None]:
        reply = self.http.get(f"/api/tasks/start?taskId={self.task_id}")
        answer: dict[str, str | None] = reply.json()
        return answer


def test_a_task_from_prompt_to_result(service: Running, upstream: Upstream) -> None:
    upstream.then(Script(answer("写", "一个", "故事")))
    client = OlderClient(service.client.http)
    client.submit("写一个关于人工智能的短故事")
    client.listen()
    assert client.connected
    assert client.result == "写一个故事"
    assert client.status == "completed"
    assert client.error == ""
    assert client.unknown == []
    assert client.poll() == {"taskId": client.task_id, "status": "completed", "error": None}
    assert upstream.received[0].body["model"] == "gpt-3.5-turbo"


def test_a_failure_is_told(service: Running, upstream: Upstream) -> None:
    upstream.then(refusal(401, "invalid_api_key"))
    client = OlderClient(service.client.http)
    client.submit("Hi.")
    client.listen()
    assert client.status == "failed"
    assert "API key" in client.error
    assert client.poll() == {
        "taskId": client.task_id,
        "status": "failed",
        "error": client.error,
    }


def test_a_refused_start_is_told(service: Running) -> None:
    client = OlderClient(service.client.http)
    client.submit("")
    assert client.task_id == ""
    assert "prompt" in client.error
