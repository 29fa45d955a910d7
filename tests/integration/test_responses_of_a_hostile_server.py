"""ResponsesModel beside a server, or a network, that does what it should not."""

from collections.abc import Iterator
from typing import Any

import pytest

from adapters.openai.responses import ResponsesModel
from adapters.openai.responses.events import EVENT_LIMIT
from application.errors import ModelUnavailable
from domain.continuation import Continuation
from tests.doubles.responses_upstream import (
    Event,
    ResponsesUpstream,
    delta,
    end_event,
    frame,
    item_event,
    json_of,
    message_item,
)
from tests.doubles.upstream import Script, refusal
from tests.integration.responses_log import Log

CREATED = {"type": "response.created", "response": {"id": "resp_1"}}
RUNNING = json_of({"id": "resp_1", "status": "in_progress"})
ENDED = json_of({"id": "resp_1", "status": "completed", "output": [message_item("AB")]})
NO_STREAM = refusal(400)
MiB = 1024 * 1024


@pytest.fixture
def model(responses_model: ResponsesModel) -> ResponsesModel:
    return responses_model


@pytest.fixture
def upstream(responses_upstream: ResponsesUpstream) -> ResponsesUpstream:
    return responses_upstream


def _stream(*events: Event, cut: bool = False) -> Script:
    return Script(list(map(frame, events)), headers={"content-type": "text/event-stream"}, cut=cut)


def _numbered(number: int, event: Event) -> Event:
    return {**event, "sequence_number": number}


def _going_on(cursor: int | None = None) -> Log:
    return Log(kept=Continuation(1, "upstream", "resp_1", cursor))


@pytest.mark.parametrize(
    "scripts",
    [
        [NO_STREAM, json_of({"id": "resp_2", "status": "completed", "output": [{}]})],
        [NO_STREAM, json_of({"id": "resp_2", "status": "in_progress"})],
        [NO_STREAM, RUNNING, json_of({"id": "resp_2", "status": "completed"})],
        [json_of({"id": "resp_2", "status": "in_progress"})],
        [_stream({"type": "response.created", "response": {"id": "resp_2"}}, delta("secret"))],
        [_stream(end_event([message_item("secret")], id="resp_2"))],
    ],
)
async def test_another_answer_than_the_one_that_was_asked_for_is_not_taken(
    model: ResponsesModel, upstream: ResponsesUpstream, scripts: list[Script]
) -> None:
    upstream.then(*scripts)
    log = _going_on()
    with pytest.raises(ModelUnavailable) as fault:
        await log.attempt(model)
    assert (fault.value.code, log.answer.size, log.kept.response_id) == (
        "invalid_response",
        0,
        "resp_1",
    )
    assert not any("resp_2" in each.path for each in upstream.received)


async def test_events_that_were_read_already_are_not_read_again(
    model: ResponsesModel, upstream: ResponsesUpstream
) -> None:
    """The server sends the event that it was to go on behind once more."""
    upstream.then(
        _stream(_numbered(3, delta("A")), _numbered(4, delta("B"))),
        _stream(_numbered(4, delta("B")), _numbered(5, end_event([]))),
        ENDED,
    )
    log = _going_on(2)
    with pytest.raises(ModelUnavailable):
        await log.attempt(model)
    await log.attempt(model)
    assert (log.answer.text, log.end is not None) == ("AB", True)


async def test_numbers_that_go_back_in_mid_stream_are_unreadable(
    model: ResponsesModel, upstream: ResponsesUpstream
) -> None:
    first, again = frame(_numbered(6, delta("A"))), frame(_numbered(2, delta("A")))
    upstream.then(Script([first, 0.2, again]))
    log = _going_on(5)
    with pytest.raises(ModelUnavailable) as fault:
        await log.attempt(model)
    assert (fault.value.code, log.answer.text) == ("invalid_response", "A")


@pytest.mark.parametrize("cut", [_stream(cut=True), Script([b"<html>"], 504)])
async def test_a_proxy_that_cuts_silent_streams_costs_no_attempt(
    model: ResponsesModel, upstream: ResponsesUpstream, cut: Script
) -> None:
    """As nginx does after a minute (`proxy_read_timeout`), while a model reasons."""
    silent = [cut, RUNNING] * 6
    upstream.then(*silent, _stream(_numbered(1, delta("AB")), _numbered(2, end_event([]))))
    log = _going_on(0)
    await log.attempt(model)
    assert (log.answer.text, log.end is not None) == ("AB", True)


@pytest.mark.parametrize("kind", [[], {}, 5, None, True])
async def test_a_type_that_is_no_text_is_passed_over(
    model: ResponsesModel, upstream: ResponsesUpstream, kind: Any
) -> None:
    item = {"type": kind, "id": kind}
    upstream.then(_stream(CREATED, item_event(item, done=True), {"type": kind}, end_event([item])))
    streamed = Log()
    await streamed.attempt(model)
    upstream.then(NO_STREAM, json_of({"id": "resp_1", "status": "completed", "output": [item]}))
    polled = _going_on()
    await polled.attempt(model)
    for log in (streamed, polled):
        assert (log.answer.size, log.end and log.end.reason) == (0, "stop")


async def test_an_answer_without_end_is_read_to_a_bound(
    model: ResponsesModel, upstream: ResponsesUpstream
) -> None:
    sent = 0

    def gigabyte() -> Iterator[bytes]:
        nonlocal sent
        yield b'{"id": "resp_1", "status": "in_progress", "x": "'
        for _ in range(1024):
            sent += MiB
            yield b"x" * MiB

    upstream.then(NO_STREAM, Script(gigabyte()))
    with pytest.raises(ModelUnavailable) as fault:
        await _going_on().attempt(model)
    assert fault.value.code == "invalid_response"
    assert sent < EVENT_LIMIT + 64 * MiB
