"""Messages on the queue, as each version wrote them: a delivery may come days after an upgrade."""

import contextlib
import json
from typing import Any

import pytest

from adapters.qstash.message import OlderMessages, decode, encode
from domain.request import TaskRequest
from domain.task import Task
from tests.builders import REQUEST

AROUND = b'{"v":1,"taskId":"task_1_a","createdAt":7,"maxRetries":2,"request":'
AS_WRITTEN = {
    "request of version 1": (
        AROUND + b'{"v":1,"model":"m","max_tokens":10,"temperature":0.5,"prompt":"Hi."}}',
        Task.submit("task_1_a", REQUEST, 7),
    ),
    "request of version 2": (
        AROUND + b'{"v":2,"model":"m","prompt":"Hi."},"owner":"alice","origin":"192.0.2.7"}',
        Task.submit("task_1_a", TaskRequest(model="m", prompt="Hi."), 7, "alice", "192.0.2.7"),
    ),
}


@pytest.mark.parametrize("version", AS_WRITTEN)
def test_a_message_is_read_as_each_version_wrote_it(
    version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also after the bounds have been lowered. A new version adds its message here."""
    written, submitted = AS_WRITTEN[version]
    task, request = submitted.task, submitted.request
    assert request is not None
    assert encode(task, request, max_retries=2) == written
    monkeypatch.setattr("domain.request.MAX_TOKENS_LIMIT", 1)
    delivery = decode(written, now=9)
    assert delivery.submitted() == submitted
    assert delivery.max_attempts == 3


@pytest.mark.parametrize(
    ("fields", "request_"),
    [
        (
            {"model": "gpt-3.5-turbo", "maxTokens": 1000, "temperature": 0.7},
            TaskRequest(model="gpt-3.5-turbo", max_tokens=1000, temperature=0.7, prompt="Hi."),
        ),
        ({"maxTokens": "10"}, TaskRequest(model="default", max_tokens=10, prompt="Hi.")),
        ({"model": None, "extra": 1}, TaskRequest(model="default", prompt="Hi.")),
    ],
)
def test_a_message_of_the_older_system_is_read(
    fields: dict[str, Any], request_: TaskRequest
) -> None:
    body = json.dumps({"taskId": "task_1_abc", "prompt": "Hi.", **fields}).encode()
    delivery = decode(body, 9, OlderMessages("alice", "default"))
    assert delivery.submitted() == Task.submit("task_1_abc", request_, 9, "alice")
    with pytest.raises(ValueError, match="no version"):
        decode(body, 9)


@pytest.mark.parametrize(
    "fields",
    [
        *({"taskId": "bad id"}, {"taskId": None}, {"prompt": 7}, {"maxTokens": "many"}),
        *({"prompt": ""}, {"maxTokens": -1}, {"temperature": 3}, {"model": "a\n"}),
    ],
)
def test_what_is_no_message_of_the_older_system_is_refused(fields: dict[str, Any]) -> None:
    body = json.dumps({"taskId": "task_1_abc", "prompt": "Hi.", **fields}).encode()
    with pytest.raises(ValueError, match=r"."):
        decode(body, 9, OlderMessages(None, "default"))


@pytest.mark.parametrize("depth", [900, 1_000, 100_000])
def test_depth_makes_no_message(depth: int) -> None:
    """It raises what is told to the queue, so that it does not deliver it again."""
    deep = b"[" * depth + b"]" * depth
    for fields in (b'"prompt":"Hi."', b'"v":1'):
        body = b'{"taskId":"task_1_abc",%b,"x":%b}' % (fields, deep)
        with contextlib.suppress(ValueError):
            request = decode(body, 9, OlderMessages("alice", "default")).request
            assert request is not None
            assert request.prompt == "Hi."
