"""What tests of chat completions ask for, and how."""

import json
from typing import Any

import httpx
import httpx2
import openai

from tests.running import Running
from tests.waiting import within

ASKED: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hi."}]}


def client_of(running: Running) -> openai.OpenAI:
    """The official client. It keeps no connection, so that it need not be closed."""
    return openai.OpenAI(
        base_url=f"{running.url}/v1",
        api_key="none",
        timeout=within(20),
        http_client=httpx2.Client(limits=httpx2.Limits(max_keepalive_connections=0)),
    )


def ask(running: Running, *, streamed: bool, **asked: Any) -> Any:
    """The completion, as the client's helper adds it up or as it comes."""
    completions = client_of(running).chat.completions
    if not streamed:
        return completions.create(**{**ASKED, **asked})
    with completions.stream(**{**ASKED, **asked}) as stream:
        return stream.get_final_completion()


def post(body: dict[str, Any], headers: dict[str, str]) -> bytes:
    content = json.dumps(body).encode()
    fields = {
        "Host": "localhost",
        "Content-Type": "application/json",
        "Content-Length": str(len(content)),
        **headers,
    }
    lines = ["POST /v1/chat/completions HTTP/1.1", *(f"{n}: {v}" for n, v in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode() + content


def task_of(running: Running, key: dict[str, str]) -> str:
    """The task that was started with a key, from a stream that joins it."""
    body, url = {**ASKED, "stream": True}, f"{running.url}/v1/chat/completions"
    joined = {name: value for name, value in key.items() if name == "Idempotency-Key"}
    with httpx.stream("POST", url, json=body, headers=joined, timeout=within(10)) as response:
        return str(response.headers["x-longtask-task-id"])


def streams_of(running: Running) -> int:
    page = running.client.http.get("/metrics").text
    [line] = [each for each in page.splitlines() if each.startswith("longtask_open_streams ")]
    return int(float(line.split()[1]))
