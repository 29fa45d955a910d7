"""ResponsesModel beside a server that keeps its answers: each is asked for once, and read on."""

import asyncio
import contextlib

import pytest

from adapters.openai.responses import ResponsesModel
from adapters.openai.responses.model import POLL_RETRIES
from application.errors import ContinuationLost, ModelUnavailable
from application.ports import Kept, Numbered, Resumption
from domain.answer import Text
from domain.continuation import Continuation
from tests.doubles.responses_upstream import (
    ResponsesUpstream,
    answer_events,
    delta,
    item_event,
    message_item,
)
from tests.doubles.upstream import Gate, refusal
from tests.integration.responses_log import EVENTS, EVERYTHING, NOTE, REQUEST, SEARCH, Log
from tests.waiting import until, within


@pytest.fixture
def model(responses_model: ResponsesModel) -> ResponsesModel:
    return responses_model


@pytest.fixture
def upstream(responses_upstream: ResponsesUpstream) -> ResponsesUpstream:
    return responses_upstream


async def test_an_answer_in_one_go(model: ResponsesModel, upstream: ResponsesUpstream) -> None:
    upstream.answer(*EVERYTHING)
    log = Log()
    await log.attempt(model)
    received = upstream.received[0]
    assert received.headers["idempotency-key"] == "key-1"
    assert received.body["background"] is received.body["store"] is received.body["stream"] is True
    assert log.items[0] == Kept("resp_0")
    assert log.answer.text == "a\U0001f600bNo."
    assert log.answer.refusal == "No."
    assert log.answer.reasoning == "One.\n\nTwo."
    assert log.answer.annotations == (NOTE,)
    assert log.answer.items == (SEARCH,)
    calls = [(call.id, call.name, call.arguments) for call in log.answer.tool_calls]
    assert calls == [("x", "f", '{"a": "\U0001f600"}'), ("y", "g", "{}")]
    assert log.end is not None
    assert (log.end.reason, log.end.model) == ("tool_calls", "test-model")
    assert log.end.usage is not None
    usage = log.end.usage
    assert (usage.total_tokens, usage.cached_tokens, usage.reasoning_tokens) == (8, 1, 2)


@pytest.mark.parametrize("streams", [True, False])
async def test_broken_after_any_event_it_is_read_on(
    model: ResponsesModel, upstream: ResponsesUpstream, streams: bool
) -> None:
    """The connection breaks once, after each number of events; then it is streamed, or polled."""
    upstream.usual = EVERYTHING
    whole = Log()
    await whole.attempt(model)
    for broken_after in range(1, EVENTS):
        upstream.clear()
        upstream.usual = EVERYTHING
        upstream.breaks.append(broken_after)
        log = Log()
        with pytest.raises(ModelUnavailable) as lost:
            await log.attempt(model)
        assert not lost.value.answer_ended
        assert log.kept.response_id is not None
        upstream.streams_kept = streams
        await log.attempt(model)
        assert log.answer == whole.answer, broken_after
        assert log.end == whole.end
        assert upstream.asked == 1


async def test_broken_after_every_event_it_is_read_on(
    model: ResponsesModel, upstream: ResponsesUpstream
) -> None:
    """Each connection brings one event, so each cursor is tried."""
    upstream.usual = EVERYTHING
    whole = Log()
    await whole.attempt(model)
    upstream.clear()
    gate = Gate()
    upstream.usual = [*EVERYTHING[:-1], gate, EVERYTHING[-1]]
    upstream.breaks.extend([3] + [4] * 5)
    log = Log()

    async def read_on() -> None:
        while log.end is None:
            with contextlib.suppress(ModelUnavailable):
                await log.attempt(model)

    reading = asyncio.create_task(read_on())
    await until(lambda: not upstream.breaks)
    gate.open()
    await reading
    assert log.answer == whole.answer
    assert upstream.asked == 1


async def test_create_is_repeated_with_its_key(
    model: ResponsesModel, upstream: ResponsesUpstream
) -> None:
    """Its worker died before it noted the id."""
    await Log().attempt(model)
    again = Log()
    await again.attempt(model)
    assert again.answer.text == "Hello, world."
    assert upstream.asked == 1


async def test_leaving_does_not_end_the_answer(
    model: ResponsesModel, upstream: ResponsesUpstream
) -> None:
    gate = Gate()
    upstream.answer(*answer_events("a", "b", gates={1: gate}))
    log = Log()
    stream = model.stream(REQUEST, Resumption("key-1", continuation=log.kept))
    while log.kept.cursor is None:
        log.add(await anext(stream))
    await stream.aclose()
    assert await asyncio.to_thread(upstream.received[0].gone.wait, within(5))
    gate.open()
    await log.attempt(model)
    assert log.answer.text == "ab"
    assert (upstream.asked, upstream.cancelled) == (1, [])


async def test_what_is_not_streamed_any_more_is_waited_for(
    model: ResponsesModel, upstream: ResponsesUpstream
) -> None:
    gate = Gate()
    upstream.answer(*answer_events("a", "b", gates={1: gate}))
    upstream.breaks.append(4)
    log = Log()
    with pytest.raises(ModelUnavailable):
        await log.attempt(model)
    upstream.streams_kept = False
    log.items.clear()
    attempt = asyncio.create_task(log.attempt(model))
    while () not in log.items:
        await asyncio.sleep(0)
    gate.open()
    await attempt
    assert log.answer.text == "ab"
    assert log.kept.cursor is not None
    assert log.kept.cursor < 0
    await log.attempt(model)  # its worker died before it wrote the end
    assert log.answer.text == "ab"


async def test_what_the_server_forgot_is_lost(
    model: ResponsesModel, upstream: ResponsesUpstream
) -> None:
    upstream.breaks.append(4)
    log = Log()
    with pytest.raises(ModelUnavailable):
        await log.attempt(model)
    upstream.forget()
    with pytest.raises(ContinuationLost) as lost:
        await log.attempt(model)
    assert lost.value.resumes_at is None


async def test_another_answer_than_was_read_is_read_as_a_whole(
    model: ResponsesModel, upstream: ResponsesUpstream
) -> None:
    await Log().attempt(model)
    log = Log()
    log.add(Kept("resp_0"))
    log.add(Numbered((Text("Good"),), 5))
    upstream.streams_kept = False
    with pytest.raises(ContinuationLost) as lost:
        await log.attempt(model)
    assert lost.value.resumes_at is not None
    await _reads_on(model, lost.value, "Hello, world.")
    assert upstream.asked == 1


async def _reads_on(model: ResponsesModel, lost: ContinuationLost, text: str) -> None:
    """The attempt that begins anew reads the same answer on."""
    assert lost.resumes_at is not None
    anew = Log()
    anew.kept = Continuation(2, "upstream", *lost.resumes_at)
    await anew.attempt(model)
    assert anew.answer.text == text


async def test_what_the_server_takes_back_is_lost_and_read_on(
    model: ResponsesModel, upstream: ResponsesUpstream
) -> None:
    """As another Longtask does that has lost an attempt of its own."""
    cut, *rest = answer_events("Better")
    upstream.answer(
        *(item_event(message_item(status="in_progress")), delta("Wor")),
        {"type": "response.queued", "response": {"status": "queued"}},
        item_event(message_item("Wor", status="incomplete"), done=True),
        *({"type": "response.in_progress"}, cut, *rest),
    )
    log = Log()
    with pytest.raises(ContinuationLost) as lost:
        await log.attempt(model)
    await _reads_on(model, lost.value, "Better")
    assert upstream.asked == 1


async def test_an_item_that_the_server_takes_back_is_noticed_at_the_end(
    model: ResponsesModel, upstream: ResponsesUpstream
) -> None:
    """The attempt that the other Longtask lost had said nothing else."""
    upstream.answer(
        *(item_event(SEARCH, done=True), {"type": "response.in_progress"}),
        *answer_events("Better"),
    )
    with pytest.raises(ContinuationLost) as lost:
        await Log().attempt(model)
    await _reads_on(model, lost.value, "Better")
    assert upstream.asked == 1


async def test_a_server_that_tells_all_from_the_first_event_is_read_as_a_whole(
    model: ResponsesModel, upstream: ResponsesUpstream
) -> None:
    """As another Longtask does that does not know the number: its store lost the end of the log."""
    await Log().attempt(model)
    log = Log()
    log.add(Kept("resp_0"))
    log.add(Numbered((Text("Hel"),), -2))
    await log.attempt(model)
    assert log.answer.text == "Hello, world."


@pytest.mark.parametrize("failures", [POLL_RETRIES, POLL_RETRIES + 1])
async def test_a_few_looks_at_an_answer_may_fail(
    model: ResponsesModel, upstream: ResponsesUpstream, failures: int
) -> None:
    gate = Gate()
    upstream.answer(*answer_events("a", "b", gates={1: gate}))
    upstream.breaks.append(4)
    log = Log()
    with pytest.raises(ModelUnavailable):
        await log.attempt(model)
    upstream.streams_kept = False
    log.items.clear()
    attempt = asyncio.create_task(log.attempt(model))
    while () not in log.items:
        await asyncio.sleep(0)
    upstream.then(*[refusal(503, None, "Busy.")] * failures)
    if failures > POLL_RETRIES:
        with pytest.raises(ModelUnavailable):
            await attempt
        return
    await until(lambda: not upstream.scripts)
    gate.open()
    await attempt
    assert log.answer.text == "ab"
