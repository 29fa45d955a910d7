"""Frames whose text has what Python, and other languages, take for the end of a line."""

import json
from typing import Any

import httpx
import pytest

from tests.doubles.upstream import DONE, Script, Upstream, finish, piece
from tests.running import Running
from tests.waiting import within

TEXT = "One\u2028two\u2029three\u0085four\u000b\u001c."
CALLS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "responses": ("POST", "/v1/responses", {"model": "m", "input": TEXT, "stream": True}),
    "chat completions": (
        "POST",
        "/v1/chat/completions",
        {"model": "m", "messages": [{"role": "user", "content": TEXT}], "stream": True},
    ),
    "AI SDK": (
        "POST",
        "/api/chat",
        {"id": "1", "messages": [{"role": "user", "parts": [{"type": "text", "text": TEXT}]}]},
    ),
}


@pytest.mark.parametrize("face", [*CALLS, "native", "changes"])
def test_a_frame_is_one_line_for_every_client(
    service: Running, upstream: Upstream, face: str
) -> None:
    upstream.then(Script([piece(TEXT), finish(), DONE]))
    method, path, body = CALLS.get(face, ("GET", "", {}))
    if face not in CALLS:
        task_id = service.client.start(TEXT)
        service.client.events(task_id)
        path = "/api/tasks/events" if face == "changes" else f"/api/tasks/stream?taskId={task_id}"
    told = []
    with httpx.stream(method, service.url + path, json=body or None, timeout=within(10)) as answer:
        assert answer.status_code == 200
        for line in answer.iter_lines():
            name, _, value = line.partition(": ")
            assert name in ("", "id", "data", "event", "retry"), line
            if name == "data" and value != "[DONE]":
                told.append(json.loads(value))
            if face == "changes" and '"completed"' in line:
                break
    assert told
    if face != "changes":
        assert any(TEXT in _texts(each) for each in told)


def _texts(value: Any) -> list[str]:
    """All texts in a value."""
    if isinstance(value, dict | list):
        inner = value.values() if isinstance(value, dict) else value
        return [text for each in inner for text in _texts(each)]
    return [value] if isinstance(value, str) else []
