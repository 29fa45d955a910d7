"""Messages on the queue, as each version wrote them: a delivery may come days after an upgrade."""

import contextlib
import json
from dataclasses import replace
from typing import Any

import pytest

from adapters.qstash.message import (
    MESSAGE_LIMIT,
    OlderMessages,
    decode,
    encode,
    encode_announcement,
)
from adapters.request_codec import UnknownVersion
from application.ports import Announcement, Delivery
from domain.flow_control import FlowControl
from domain.request import TaskRequest
from domain.task import Task
from tests.builders import REQUEST
from tests.signing import delivered_task

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
    "request of version 3": (
        AROUND + b'{"v":3,"model":"m","prompt":"Hi.","options":{"seed":1},"ttl":60}}',
        Task.submit(
            "task_1_a", TaskRequest(model="m", prompt="Hi.", options={"seed": 1}, ttl=60), 7
        ),
    ),
    "request of version 4": (
        AROUND + b'{"v":4,"model":"m","prompt":"Hi.","delay":60},"notBefore":60007}',
        Task.submit("task_1_a", TaskRequest(model="m", prompt="Hi.", delay=60), 7),
    ),
    "request of version 6": (
        AROUND + b'{"v":6,"model":"m","prompt":"Hi.","flow_control":{"rate":1,"key":"k"}}}',
        Task.submit(
            "task_1_a",
            TaskRequest(model="m", prompt="Hi.", flow_control=FlowControl(key="k", rate=1)),
            7,
        ),
    ),
    "deadline": (
        AROUND + b'{"v":4,"model":"m","prompt":"Hi.","deadline":60},"deadline":60007}',
        Task.submit("task_1_a", TaskRequest(model="m", prompt="Hi.", deadline=60), 7),
    ),
    "retry": (
        AROUND + b'{"v":2,"model":"m","prompt":"Hi."},"retryOf":"task_1_old"}',
        Task.submit("task_1_a", TaskRequest(model="m", prompt="Hi."), 7, retry_of="task_1_old"),
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
    delivery = delivered_task(written)
    assert delivery.submitted() == submitted
    assert delivery.max_attempts == 3


LONG = TaskRequest(model="m", prompt="Hi." * 400, options={"seed": 1}, ttl=60)


def test_a_message_that_would_be_too_long_names_its_request() -> None:
    """An instance of the version before refuses version 2."""
    delayed = replace(LONG, not_before=90)
    task = Task.submit("task_1_a", delayed, 7, "alice", "192.0.2.7", "task_1_b").task
    whole = encode(task, delayed, max_retries=2)
    written = encode(task, delayed, 2, len(whole) - 1)
    expected = (
        b'{"v":2,"taskId":"task_1_a","createdAt":7,"maxRetries":2,"model":"m","requestSize":%d,'
        b'"requestDigest":"%b","owner":"alice","origin":"192.0.2.7","ttl":60,'
        b'"retryOf":"task_1_b","notBefore":90}'
    )
    assert written == expected % (len(whole), delayed.digest().encode())
    delivery = delivered_task(written)
    assert delivery == Delivery(
        "task_1_a",
        None,
        7,
        max_attempts=3,
        requested_model="m",
        request_size=len(whole),
        request_digest=delayed.digest(),
        owner="alice",
        origin="192.0.2.7",
        ttl=60,
        retry_of="task_1_b",
        not_before=90,
    )
    assert delivery.submitted().task == replace(task, title=None)  # lost with the request
    assert delivery.submitted().request is None
    assert delivery.matches(delayed)
    assert not delivery.matches(REQUEST)
    assert not delivery.matches(None)


def test_the_bound_is_that_of_the_whole_message() -> None:
    task = Task.submit("task_1_a", LONG, 7).task
    whole = encode(task, LONG, max_retries=2)
    assert encode(task, LONG, 2, len(whole)) == whole
    assert delivered_task(whole).request == LONG
    largest = TaskRequest(model="m", prompt="x" * (MESSAGE_LIMIT - 100))
    assert MESSAGE_LIMIT - 100 < len(encode(task, largest, max_retries=2)) <= MESSAGE_LIMIT
    beyond = TaskRequest(model="m", prompt="x" * MESSAGE_LIMIT)
    assert len(encode(task, beyond, max_retries=2)) < 300


@pytest.mark.parametrize(
    "changed", [{"requestDigest": None}, {"requestSize": "x"}, {"model": 7}, {"taskId": "bad id"}]
)
def test_what_names_no_request_is_no_message(changed: dict[str, Any]) -> None:
    body = encode(Task.submit("task_1_a", LONG, 7).task, LONG, 2, 1)
    with pytest.raises(ValueError, match=r".") as refused:
        decode(json.dumps(json.loads(body) | changed).encode(), 9)
    assert not isinstance(refused.value, UnknownVersion)


def test_the_next_version_is_refused_as_such() -> None:
    with pytest.raises(UnknownVersion, match="the message has version 5, this instance reads 4"):
        decode(b'{"v":5,"request":"elsewhere"}', 9)


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
    delivery = delivered_task(body, 9, OlderMessages("alice", "default"))
    assert delivery.submitted() == Task.submit("task_1_abc", request_, 9, "alice")
    with pytest.raises(ValueError, match="no version"):
        decode(body, 9)


@pytest.mark.parametrize(
    "changed",
    [
        *({"number": -1}, {"round": -1}, {"calls": -1}, {"uncalled": -1}, {"taskId": "bad id"}),
        *({"event": {}}, {"event": {"id": 7}}, {"event": {"id": "evt_1\nx: y"}}, {"event": None}),
    ],
)
def test_what_calls_no_receiver_is_no_announcement(changed: dict[str, Any]) -> None:
    whole = Announcement("task_1_a", 0, "https://a.example", False, None, 7, {"id": "evt_1"})
    assert decode(encode_announcement(whole), 9) == whole
    body = json.dumps(json.loads(encode_announcement(whole)) | changed).encode()
    with pytest.raises(ValueError, match=r"."):
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
            request = delivered_task(body, 9, OlderMessages("alice", "default")).request
            assert request is not None
            assert request.prompt == "Hi."


@pytest.mark.parametrize("limit", [1, MESSAGE_LIMIT])
@pytest.mark.parametrize("flow", [None, FlowControl(key="k", parallelism=1)])
def test_a_delivery_says_whether_its_message_has_a_key_of_its_own(
    flow: FlowControl | None, limit: int
) -> None:
    """Also one without its request."""
    request = replace(REQUEST, flow_control=flow)
    delivery = decode(encode(Task.submit("task_1_a", request, 7).task, request, 2, limit), 7)
    assert isinstance(delivery, Delivery)
    assert delivery.own_flow is (flow is not None)
