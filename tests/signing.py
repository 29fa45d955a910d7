"""Deliveries as QStash makes and signs them."""

import base64
import hashlib
import json
import time
from typing import Any

import httpx
import jwt

from adapters import request_codec
from adapters.qstash.message import VERSION, OlderMessages, decode, encode
from application.ports import Delivery
from domain.request import TaskRequest
from domain.task import Task

WEBHOOK, FAILURE = "/api/qstash/webhook", "/api/qstash/failure"
CURRENT, NEXT = "sig_current_of_these_tests_0123456789", "sig_next_of_these_tests_0123456789ab"


def keys_answer(current: str = CURRENT, following: str = NEXT) -> bytes:
    """What QStash answers to `GET /v2/keys`."""
    return json.dumps({"current": current, "next": following}).encode()


def message(task_id: str, prompt: str = "Hi.", **changed: Any) -> bytes:
    """A task as this service hands it to QStash."""
    request = {"v": 1, "model": "m", "max_tokens": 10, "temperature": 0.5, "prompt": prompt}
    whole = {"v": 1, "taskId": task_id, "createdAt": 1_700_000_000_000, "maxRetries": 2}
    return json.dumps({**whole, "request": request, **changed}).encode()


def delivered_task(
    body: bytes | bytearray, now: int = 9, older: OlderMessages | None = None
) -> Delivery:
    """The task that a message delivers."""
    delivery = decode(body, now, older)
    assert isinstance(delivery, Delivery)
    return delivery


def failure_callback(body: bytes) -> bytes:
    """What the queue sends once the deliveries of this message have run out."""
    source = base64.b64encode(body).decode()
    return json.dumps({"status": 500, "sourceMessageId": "msg_1", "sourceBody": source}).encode()


def naming_message(task_id: str, request: TaskRequest) -> bytes:
    """A task whose request is in the store only."""
    task = Task.submit(task_id, request, 1_700_000_000_000).task
    return encode(task, request, max_retries=2, limit=1)


OF_THE_NEXT_VERSION = [
    message("task_1_next", v=VERSION + 1, request={"hash": "0" * 64}),
    message("task_1_next", request={"v": request_codec.VERSION + 1, "prompt": ["Hi."]}),
]
"""What only an instance of the next version can read, told by `v`."""


def hash_of(body: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(body).digest()).decode()


def sign(url: str, body: bytes, key: str = CURRENT, ahead: float = 0.0, /, **claims: Any) -> str:
    """A signature by a QStash whose clock is `ahead` of ours. A claim that is given as `...` is
    left out."""
    now = int(time.time() + ahead)
    whole = {
        "iss": "Upstash",
        "sub": url,
        "iat": now,
        "nbf": now,
        "exp": now + 300,
        "jti": "jwt_1",
        "body": hash_of(body),
        **claims,
    }
    kept = {name: value for name, value in whole.items() if value is not ...}
    # Not `jwt.encode`, which makes no token of claims that nobody should sign.
    return jwt.PyJWS().encode(json.dumps(kept).encode(), key, algorithm="HS256")


def deliver(
    http: httpx.Client, body: bytes, signature: str | None, path: str = WEBHOOK
) -> httpx.Response:
    headers = {"Content-Type": "application/json"}
    if signature is not None:
        headers["Upstash-Signature"] = signature
    return http.post(path, content=body, headers=headers)
