"""QStash's numbers: its back-off, its durations, and which of several pauses applies."""

import hashlib
import math
from email.utils import formatdate

import pytest

from entrypoints.local_qstash.delivery_response import DeliveryResponse
from entrypoints.local_qstash.message import FlowControl, QueuedMessage
from entrypoints.local_qstash.pauses import backoff, pause_before_retry
from entrypoints.local_qstash.publish_headers import duration, read_message
from entrypoints.local_qstash.refusals import BadMessage
from tests.deliveries import named

NOW = 1_700_000_000.0


def _message(**headers: str) -> QueuedMessage:
    return read_message("http://example.org/x", named(headers), b"", now=NOW)


def test_the_documented_back_off() -> None:
    # The table in QStash's documentation: 12 s, 2 m 28 s, 30 m 8 s, 6 h 7 m 6 s, 24 h, 24 h.
    documented = [12, 148, 1_808, 22_026, 86_400, 86_400]
    assert [math.floor(backoff(retry)) for retry in range(1, 7)] == documented


@pytest.mark.parametrize(
    ("text", "seconds"), [("10s", 10), ("1m30s", 90), ("2h", 7200), ("1d", 86_400), ("500ms", 0.5)]
)
def test_durations(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "10", "s", "10x", "1s ", "-1s", "1s2", "9" * 20 + "d", "9" * 400 + "s", "1" * 90_000],
)
def test_bad_durations(text: str) -> None:
    with pytest.raises(BadMessage):
        duration(text)


def test_a_period_is_no_longer_than_a_duration() -> None:
    flow = {"Flow_Control_Key": "k", "Flow_Control_Value": "rate=1,period=60"}
    assert _message(**flow).flow == FlowControl("k", None, 1, 60.0)
    with pytest.raises(BadMessage):
        _message(**{**flow, "Flow_Control_Value": f"rate=1,period={'9' * 400}"})


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": ["7"]}, 7),
        ({"retry-after": ["0"]}, 0),
        ({"retry-after": ["6m5s"]}, 365),
        ({"retry-after": [formatdate(NOW + 30, usegmt=True)]}, 30),
        ({"retry-after": [formatdate(NOW - 30, usegmt=True)]}, 0),
        ({"x-ratelimit-reset": ["9"]}, 9),
        ({"x-ratelimit-reset-requests": ["1s"]}, 1),
        ({"retry-after": ["3"], "x-ratelimit-reset": ["9"]}, 3),
        # Beyond a day the back-off holds; nonsense is passed over.
        ({"retry-after": ["90000"]}, backoff(1)),
        ({"retry-after": ["soon"]}, 5),
        ({"retry-after": ["inf"]}, 5),
        ({"retry-after": ["Mon, 01 Jan 2030 00:00:00 +99999999999999999999"]}, 5),
        ({"retry-after": ["Mon, 99999999999 Jan 2030 00:00:00 GMT"]}, 5),
        ({"retry-after": ["1" * 90_000 + "x"]}, 5),  # which took minutes to read
        ({}, 5),
    ],
)
def test_which_pause_applies(headers: dict[str, list[str]], seconds: float) -> None:
    message = _message(Retry_Delay="5000")
    assert pause_before_retry(message, DeliveryResponse(429, headers, b""), NOW) == pytest.approx(
        seconds
    )


def test_an_expression_without_a_value_for_a_retry_gives_way_to_the_back_off() -> None:
    message = _message(Retry_Delay="1000 / (2 - retried)")
    message.retried = 2
    assert pause_before_retry(message, DeliveryResponse(500, {}, b""), NOW) == backoff(3)


def test_the_default_is_the_back_off() -> None:
    message = _message()
    message.retried = 1
    assert pause_before_retry(message, DeliveryResponse(500, {}, b""), NOW) == backoff(2)


def test_not_before_wins_over_delay() -> None:
    assert _message(Delay="10s").not_before == int((NOW + 10) * 1000)
    assert _message(Delay="10s", Not_Before="1800000000").not_before == 1_800_000_000_000


SHOWN = f"REDACTED:{hashlib.sha256(b'secret').hexdigest()}"


@pytest.mark.parametrize(
    ("fields", "body", "a", "b"),
    [
        ("body", SHOWN, "secret", "secret"),
        ("body,header", SHOWN, SHOWN, SHOWN),
        ("body, headers", SHOWN, SHOWN, SHOWN),
        ("header[A]", "secret", SHOWN, "secret"),
        ("headers[b]", "secret", "secret", SHOWN),
        ("", "secret", "secret", "secret"),
    ],
)
def test_redaction(fields: str, body: str, a: str, b: str) -> None:
    """In what is shown, and not in what is delivered. As the SDKs and the documentation name the
    fields."""
    forwarded = {"Upstash-Forward-A": "secret", "Upstash-Forward-B": "secret"}
    headers = {**forwarded, "Upstash-Redact-Fields": fields}
    message = read_message("http://example.org/x", headers, b"secret", now=NOW)
    shown = message.as_json()
    assert (shown["body"], shown["header"]) == (body, {"A": [a], "B": [b]})
    assert (message.body, message.headers) == (b"secret", {"A": ["secret"], "B": ["secret"]})


@pytest.mark.parametrize("fields", ["bdy", "body;header", "header[]", "header[A", "body, all"])
def test_a_field_that_cannot_be_redacted_is_refused(fields: str) -> None:
    with pytest.raises(BadMessage, match="Upstash-Redact-Fields"):
        _message(Redact_Fields=fields)


@pytest.mark.parametrize(
    ("value", "limits"),
    [
        ("parallelism=2, rate=10, period=1m", FlowControl("k", 2, 10, 60.0)),
        ("Rate=20,Parallelism=10", FlowControl("k", 10, 20, 1.0)),  # as the documentation writes it
        ("rate = 3,period=90", FlowControl("k", None, 3, 90.0)),
        ("parallelism=1", FlowControl("k", 1)),
    ],
)
def test_limits_of_a_flow_control_key(value: str, limits: FlowControl) -> None:
    assert _message(Flow_Control_Key="k", Flow_Control_Value=value).flow == limits


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("", "rate=1"),
        ("$", "rate=1"),
        ("k" * 1_025, "rate=1"),
        ("k", ""),
        ("k", "rate=0"),
        ("k", "parallelism=-1"),
        ("k", "rate=1,period=0"),
        ("k", "rate=1,period=169h"),
    ],
)
def test_limits_that_are_none_are_refused(key: str, value: str) -> None:
    with pytest.raises(BadMessage):
        _message(Flow_Control_Key=key, Flow_Control_Value=value)
