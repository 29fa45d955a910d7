"""The log of the local QStash: which events a page has, what each tells, and what is forgotten."""

import base64
from dataclasses import replace
from typing import Any

import pytest

from entrypoints.local_qstash import journal as journal_module
from entrypoints.local_qstash.bounds import LOG_RESPONSE_BYTES, PAGE_BYTES
from entrypoints.local_qstash.delivery_response import DeliveryResponse
from entrypoints.local_qstash.filters import EVENTS, Search, read_search
from entrypoints.local_qstash.journal import Event, Journal, LogLimits, shown
from entrypoints.local_qstash.message import QueuedMessage
from entrypoints.local_qstash.publish_headers import read_message
from entrypoints.local_qstash.refusals import BadMessage
from entrypoints.local_qstash.states import State
from tests.deliveries import named

BROKEN = DeliveryResponse(503, {"x-why": ["because"]}, b"broken")


class Clock:
    """Seconds since 1970, as the journal sees them."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(journal_module, "time", clock)
    return clock


def _message(body: bytes = b"body", **headers: str) -> QueuedMessage:
    return read_message("http://example.org/x", named(headers), body, now=1.0)


def _states(journal: Journal, search: Search | None = None) -> list[State]:
    """Newest first."""
    return [each.state for each in journal.page(search or Search())[0]]


def test_the_way_of_a_message_that_fails_once(clock: Clock) -> None:
    journal, message = Journal(), _message()
    journal.note(message, State.CREATED, next_at=1_000)
    journal.note(message, State.ACTIVE)
    journal.note(message, State.ERROR, BROKEN)
    journal.note(message, State.RETRY, next_at=9_000)
    assert journal.state_of(message.id) is State.RETRY
    assert journal.message(message.id) is None  # it is in the store
    clock.now += 1
    journal.note(message, State.ACTIVE)
    journal.note(message, State.DELIVERED)
    events, cursor = journal.page(Search())
    assert cursor is None
    assert [each.state for each in events] == [
        State.DELIVERED,
        State.ACTIVE,
        State.RETRY,
        State.ERROR,
        State.ACTIVE,
        State.CREATED,
    ]
    assert [each.at for each in events] == [1_800_000_001_000] * 2 + [1_800_000_000_000] * 4
    assert [each.next_at for each in events] == [None, None, 9_000, None, None, 1_000]
    assert journal.message(message.id) == message
    assert journal.newest == events[0].number


def test_what_an_entry_shows(clock: Clock) -> None:
    message = replace(
        _message(
            b"\xff",
            Forward_X="1",
            Timeout="30s",
            Retries="2",
            Retry_Delay="1000",
            Callback="http://example.org/c",
            Callback_Forward_Y="2",
            Failure_Callback="http://example.org/f",
            Label="a,b",
            Flow_Control_Key="key",
            Flow_Control_Value="rate=2,period=60",
        ),
        queue="q",
        url_group="group",
        endpoint="first",
        schedule_id="scd",
        caller_ip="10.0.0.1",
    )
    journal = Journal()
    journal.note(message, State.ERROR, BROKEN)
    journal.note(message, State.FAILED)
    failed, error = (shown(each, each.noted.message) for each in journal.page(Search())[0])
    common = {
        "time": 1_800_000_000_000,
        "messageId": message.id,
        "url": "http://example.org/x",
        "method": "POST",
        "header": {"X": ["1"]},
        "body": base64.b64encode(b"\xff").decode(),
        "maxRetries": 2,
        "retryDelayExpression": "1000",
        "retryDelayExpr": "1000",
        "timeout": 30_000,
        "callback": "http://example.org/c",
        "callbackHeaders": {"Upstash-forward-y": ["2"]},
        "failureCallback": "http://example.org/f",
        "label": "a",
        "labels": ["a", "b"],
        "flowControlKey": "key",
        "rate": 2,
        "period": 60,
        "queueName": "q",
        "topicName": "group",
        "endpointName": "first",
        "scheduleId": "scd",
        "callerIP": "10.0.0.1",
        "callerIp": "10.0.0.1",
    }
    assert _lower(failed) == _lower({**common, "state": "FAILED"})
    response = {
        "state": "ERROR",
        "error": "the destination responded with status 503",
        "responseStatus": 503,
        "responseBody": base64.b64encode(b"broken").decode(),
        "responseHeader": {"x-why": ["because"]},
        "responseHeaders": {"x-why": ["because"]},
    }
    assert _lower(error) == _lower({**common, **response})


def _lower(entry: dict[str, Any]) -> dict[str, Any]:
    """With the names of callback headers in lower case: they are as the publisher wrote them."""
    headers = entry["callbackHeaders"]
    return {**entry, "callbackHeaders": {name.lower(): value for name, value in headers.items()}}


def test_no_response_and_a_long_one(clock: Clock) -> None:
    journal, message = Journal(), _message()
    journal.note(message, State.ERROR, DeliveryResponse(0, {}, b"no response: ConnectError"))
    journal.note(message, State.ERROR, DeliveryResponse(500, {}, b"x" * LOG_RESPONSE_BYTES * 2))
    long, none = (shown(each, message) for each in journal.page(Search())[0])
    assert none["error"] == "no response: ConnectError"
    assert "responseStatus" not in none
    assert base64.b64decode(long["responseBody"]) == b"x" * LOG_RESPONSE_BYTES


def test_pages_and_their_cursors(clock: Clock) -> None:
    journal, message = Journal(), _message()
    for _ in range(5):
        journal.note(message, State.ACTIVE)
        clock.now += 0.25
    whole, _ = journal.page(Search())
    paged: list[Event] = []
    cursor: str | None = None
    for _ in range(3):
        page, cursor = journal.page(Search(count=2, cursor=cursor))
        paged += page
        journal.note(message, State.ACTIVE)  # what is new is on none of the next pages
    assert (paged, cursor) == (whole, None)
    # A time in milliseconds is a cursor, too.
    assert journal.page(Search(cursor="1800000000500"))[0] == whole[2:]
    assert journal.page(Search(cursor="0"))[0] == []
    with pytest.raises(BadMessage, match="cursor"):
        journal.page(Search(cursor="1-x"))


def test_numbers_grow_although_the_clock_is_set_back(clock: Clock) -> None:
    journal, message = Journal(), _message()
    for _ in range(3):
        journal.note(message, State.ACTIVE)
        clock.now -= 60
    numbers = [each.number for each in journal.page(Search())[0]]
    assert numbers == sorted(set(numbers), reverse=True)


def test_filters(clock: Clock) -> None:
    journal, one, other = Journal(), _message(Label="a"), _message(Label="b")
    for message in (one, other):
        journal.note(message, State.CREATED)
        clock.now += 1
    journal.note(one, State.ACTIVE)
    journal.note(one, State.ERROR, BROKEN)

    def found(*wanted: tuple[str, str]) -> list[State]:
        return _states(journal, read_search(EVENTS, wanted))

    assert found(("messageId", other.id)) == found(("label", "b")) == [State.CREATED]
    assert found(("messageIds", one.id), ("messageIds", other.id)) == _states(journal)
    assert found(("state", "IN_PROGRESS")) == [State.ERROR, State.ACTIVE]
    assert found(("toDate", "1800000000000"), ("host", "example.org")) == [State.CREATED]
    assert found(("fromDate", "1800000000001"), ("toDate", "1800000001000")) == [State.CREATED]


def test_a_page_is_bounded_in_bytes(clock: Clock) -> None:
    journal = Journal(LogLimits(body_size=PAGE_BYTES * 2))
    for _ in range(2):
        journal.note(_message(b"x" * (PAGE_BYTES * 2 // 3)), State.DELIVERED)
    page, cursor = journal.page(Search(count=100))
    assert len(page) == 1
    assert cursor is not None


def test_the_oldest_events_are_forgotten(clock: Clock) -> None:
    journal = Journal(LogLimits(number=4, age=60.0))
    old, young = _message(), _message()
    for message in (old, young):
        journal.note(message, State.CREATED)
        journal.note(message, State.ACTIVE)
        journal.note(message, State.DELIVERED)
        clock.now += 29
    assert len(_states(journal)) == 4
    assert journal.message(old.id) == old
    clock.now += 59
    assert _states(journal) == []
    assert (journal.message(old.id), journal.state_of(old.id)) == (None, None)
    assert (journal._size, journal._body_size, journal._noted, journal._bodies) == (0, 0, {}, {})


def test_events_are_bounded_in_bytes(clock: Clock) -> None:
    journal = Journal(LogLimits(size=100_000))
    for _ in range(50):
        journal.note(_message(Forward_Long="x" * 10_000), State.CREATED)
        journal.note(_message(), State.ERROR, replace(BROKEN, body=b"x" * 10_000))
    assert 5 <= len(_states(journal)) <= 10
    assert journal._size <= 100_000


def test_bodies_of_what_has_ended_are_kept_for_a_while(clock: Clock) -> None:
    journal = Journal(LogLimits(body_size=25_000, body_age=600.0))
    ended = [_message(b"x" * 10_000) for _ in range(3)]
    for message in ended:
        journal.note(message, State.CREATED)
        assert journal._body_size <= 20_000
        journal.note(message, State.DELIVERED)
    assert [journal.message(each.id) for each in ended] == [None, *ended[1:]]
    clock.now += 601
    journal.drop_old(clock.now)
    assert [journal.message(each.id) for each in ended] == [None] * 3
    assert len(_states(journal)) == 6
    assert all(not each.noted.message.body for each in journal.page(Search())[0])


def test_what_was_cancelled_is_not_shown_as_a_message(clock: Clock) -> None:
    journal, message = Journal(), _message()
    for state in (State.CREATED, State.ACTIVE, State.CANCEL_REQUESTED, State.DELIVERED):
        journal.note(message, state)
    assert journal.message(message.id) is None
    assert journal.state_of(message.id) is State.DELIVERED
