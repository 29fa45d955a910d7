"""The message by which a dead letter is tried again."""

from dataclasses import replace

import pytest

from entrypoints.local_qstash.message import FlowControl, QueuedMessage
from entrypoints.local_qstash.publish_headers import read_message
from entrypoints.local_qstash.refusals import BadMessage
from entrypoints.local_qstash.retrying import message_again

NOW = 1_700_000_000.0


def _given_up() -> QueuedMessage:
    headers = {
        "Content-Type": "application/json",
        "Upstash-Method": "PUT",
        "Upstash-Retries": "5",
        "Upstash-Delay": "1h",
        "Upstash-Timeout": "30s",
        "Upstash-Forward-A": "1",
        "Upstash-Forward-B": "2",
        "Upstash-Callback": "http://example.org/c",
        "Upstash-Callback-Forward-C": "3",
        "Upstash-Failure-Callback": "http://example.org/f",
        "Upstash-Flow-Control-Key": "key",
        "Upstash-Flow-Control-Value": "parallelism=1",
        "Upstash-Label": "a,b",
        "Upstash-Deduplication-Id": "one",
        "Upstash-Redact-Fields": "body",
    }
    message = read_message("http://example.org/x", headers, b"{}", now=1.0, queue="q")
    return replace(
        message, retried=5, url_group="group", endpoint="e", schedule_id="s", caller_ip="10.0.0.1"
    )


def test_it_is_the_same_but_for_what_makes_it_a_new_one() -> None:
    message = _given_up()
    again = message_again(message, {"Authorization": "Bearer x", "Content-Type": "text/x"}, NOW)
    assert again.id != message.id
    expected = replace(
        message,
        id=again.id,
        created_at=int(NOW * 1000),
        not_before=int(NOW * 1000),
        retried=0,
        deduplication=None,
    )
    assert again == expected


def test_headers_of_the_call_change_it() -> None:
    message = _given_up()
    headers = {
        "upstash-retries": "0",
        "upstash-delay": "10s",
        "upstash-timeout": "5s",
        "upstash-forward-b": "3",
        "upstash-callback-forward-d": "4",
        "upstash-failure-callback": "http://example.org/other",
        "upstash-flow-control-key": "other",
        "upstash-flow-control-value": "rate=1",
        "upstash-label": "c",
    }
    again = message_again(message, headers, NOW)
    assert (again.retries, again.timeout, again.labels) == (0, 5.0, ("c",))
    assert again.not_before == int((NOW + 10) * 1000)
    assert again.headers == {**message.headers, "B": ["3"]}
    assert again.flow == FlowControl("other", None, 1)
    assert again.failure_callback == "http://example.org/other"
    assert again.callback == message.callback
    assert {name.lower() for name in again.callback_headers} == {
        "upstash-forward-c",
        "upstash-forward-d",
    }
    assert (again.method, again.body, again.queue) == ("PUT", b"{}", "q")
    with pytest.raises(BadMessage, match="Retries"):
        message_again(message, {"upstash-retries": "many"}, NOW)
