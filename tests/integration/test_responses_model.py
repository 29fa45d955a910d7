"""ResponsesModel beside a server that keeps its answers: each is asked for once, and read on."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from adapters.openai.responses import ResponsesModel
from application.errors import ContinuationLost, ModelRefused, ModelUnavailable
from application.ports import Finished, Item, Kept, Numbered, Resumption
from application.transcript import Transcript
from domain.answer import Answer, Text
from domain.continuation import Continuation
from domain.request import TaskRequest
from tests.doubles.responses_upstream import (
    ResponsesUpstream,
    Step,
    answer_events,
    call_item,
    delta,
    end_event,
    item_event,
    message_item,
)
from tests.doubles.upstream import Gate, Script, refusal
from tests.waiting import within

REQUEST = TaskRequest(model="m", prompt="Hi.")
NOTE = {"type": "url_citation", "url": "https://example.org", "start_index": 0, "end_index": 2}
CALLS = [call_item("x", "f", '{"a": "\U0001f600"}'), call_item("y", "g", "{}")]
THOUGHT = {
    "type": "reasoning",
    "id": "rs_1",
    "summary": [{"type": "summary_text", "text": each} for each in ("One.", "Two.")],
}
SEARCH = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"query": "q"}}
SAID = message_item(
    {"type": "output_text", "text": "a\U0001f600b", "annotations": [NOTE]},
    {"type": "refusal", "refusal": "No."},
)
EVERYTHING: list[Step] = [
    item_event({**THOUGHT, "summary": []}),
    {"type": "response.reasoning_summary_part.added", "output_index": 0, "summary_index": 0},
    delta("One", "reasoning_summary_text"),
    delta(".", "reasoning_summary_text"),
    {"type": "response.reasoning_summary_part.added", "output_index": 0, "summary_index": 1},
    delta("Two.", "reasoning_summary_text"),
    item_event(THOUGHT, done=True),
    item_event({**SEARCH, "status": "in_progress"}, 1),
    {"type": "response.web_search_call.searching", "output_index": 1, "item_id": "ws_1"},
    item_event(SEARCH, 1, done=True),
    item_event(message_item(status="in_progress"), 2),
    delta("a\ud83d", index=2),
    delta("\ude00b", index=2),
    {"type": "response.output_text.annotation.added", "output_index": 2, "annotation": NOTE},
    delta("No.", "refusal", 2),
    item_event(SAID, 2, done=True),
    item_event(call_item("x", "f"), 3),
    {"type": "response.function_call_arguments.delta", "output_index": 3, "delta": '{"a": "\ud83d'},
    {"type": "response.function_call_arguments.delta", "output_index": 3, "delta": '\ude00"}'},
    item_event(CALLS[0], 3, done=True),
    item_event(call_item("y", "g"), 4),
    item_event(CALLS[1], 4, done=True),
    end_event([THOUGHT, SEARCH, SAID, *CALLS]),
]
EVENTS = len(EVERYTHING) + 2  # created, in_progress


@pytest.fixture
def upstream(responses_upstream: ResponsesUpstream) -> ResponsesUpstream:
    return responses_upstream


@pytest.fixture
async def model(upstream: ResponsesUpstream) -> AsyncIterator[ResponsesModel]:
    opened = ResponsesModel("key", upstream.url, read_timeout=within(5.0), poll_pause=0.01)
    yield opened
    await opened.aclose()


@dataclass
class Log:
    """What a task log would have of an answer."""

    transcript: Transcript = field(default_factory=lambda: Transcript("T", 10_000))
    kept: Continuation = field(default_factory=lambda: Continuation(1, "upstream"))
    end: Finished | None = None
    items: list[Item] = field(default_factory=list)

    async def attempt(self, model: ResponsesModel, request: TaskRequest = REQUEST) -> None:
        """Run one attempt to its end, or until it is lost."""
        resumption = Resumption("key-1", self.transcript.answer(), self.kept)
        async for item in model.stream(request, resumption):
            self.add(item)

    def add(self, item: Item) -> None:
        self.items.append(item)
        if isinstance(item, Kept):
            self.kept = self.kept.noted(item.response_id)
        elif isinstance(item, Numbered):
            self.transcript.events(item.pieces, 1)
            self.kept = self.kept.advanced(item.cursor, 0, 1)
        elif isinstance(item, Finished):
            self.end = item
        else:
            self.transcript.events(item, 1)

    @property
    def answer(self) -> Answer:
        return self.transcript.answer()


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
    upstream.usual = EVERYTHING
    log, attempts = Log(), 0
    upstream.breaks.extend([3] + [4] * EVENTS)
    while log.end is None:
        attempts += 1
        try:
            await log.attempt(model)
        except ModelUnavailable:
            continue
    assert attempts > 5
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


@pytest.mark.parametrize(
    ("last", "reason"),
    [
        (end_event([], "incomplete", incomplete_details={"reason": "max_output_tokens"}), "length"),
        (
            end_event([], "incomplete", incomplete_details={"reason": "content_filter"}),
            "content_filter",
        ),
        (end_event([]), "stop"),
    ],
)
async def test_why_it_ended(
    model: ResponsesModel, upstream: ResponsesUpstream, last: Step, reason: str
) -> None:
    cut = item_event(message_item("a", status="incomplete"), done=True)
    upstream.answer(delta("a"), cut, last)
    log = Log()
    await log.attempt(model)
    assert log.end is not None
    assert (log.answer.text, log.end.reason) == ("a", reason)


@pytest.mark.parametrize(
    ("last", "kind", "code"),
    [
        (end_event([], "cancelled", error=None), ModelRefused, "answer_cancelled"),
        (end_event([], "failed", error=None), ModelUnavailable, "model_error"),
        (
            end_event([], "failed", error={"code": "rate_limit_exceeded", "message": "Slowly."}),
            ModelUnavailable,
            "rate_limited",
        ),
        (
            end_event([], "failed", error={"code": "invalid_prompt", "message": "No."}),
            ModelRefused,
            "invalid_request",
        ),
    ],
)
async def test_an_answer_that_failed_is_over(
    model: ResponsesModel, upstream: ResponsesUpstream, last: Step, kind: type, code: str
) -> None:
    upstream.answer(delta("a"), last)
    log = Log()
    with pytest.raises(kind) as streamed:
        await log.attempt(model)
    upstream.streams_kept = False
    with pytest.raises(kind) as polled:
        await log.attempt(model)
    for fault in (streamed.value, polled.value):
        assert isinstance(fault, ModelRefused | ModelUnavailable)
        assert (fault.code, fault.answer_ended) == (code, True)


@pytest.mark.parametrize(("status", "over"), [(400, True), (429, True), (409, False), (503, False)])
async def test_a_refused_create_is_over_unless_it_may_have_begun(
    model: ResponsesModel, upstream: ResponsesUpstream, status: int, over: bool
) -> None:
    upstream.then(refusal(status))
    with pytest.raises((ModelRefused, ModelUnavailable)) as fault:
        await Log().attempt(model)
    assert isinstance(fault.value, ModelRefused | ModelUnavailable)
    assert fault.value.answer_ended is over


async def test_what_is_not_stored_is_not_kept(
    model: ResponsesModel, upstream: ResponsesUpstream
) -> None:
    request = TaskRequest(model="m", prompt="Hi.", options={"store": False})
    log = Log()
    await log.attempt(model, request)
    assert log.answer.text == "Hello, world."
    assert not any(isinstance(item, Kept | Numbered) for item in log.items)
    assert upstream.received[0].body["store"] is False
    assert "background" not in upstream.received[0].body
    with pytest.raises(ContinuationLost) as lost:
        await log.attempt(model, request)
    assert lost.value.resumes_at is None


async def test_a_response_in_place_of_a_stream(
    model: ResponsesModel, upstream: ResponsesUpstream
) -> None:
    await Log().attempt(model)
    begun = b'{"id": "resp_0", "status": "queued", "output": []}'
    upstream.then(Script([begun], headers={"content-type": "application/json"}))
    log = Log()
    await log.attempt(model)
    assert (log.items[0], log.answer.text) == (Kept("resp_0"), "Hello, world.")


async def test_a_temperature_that_is_refused_is_left_out(
    model: ResponsesModel, upstream: ResponsesUpstream
) -> None:
    upstream.then(
        refusal(400, "unsupported_parameter", "Unsupported parameter: 'temperature' is no good.")
    )
    request = TaskRequest(model="m", prompt="Hi.", temperature=0.5)
    log = Log()
    await log.attempt(model, request)
    assert log.answer.text == "Hello, world."
    assert [each.body.get("temperature") for each in upstream.received] == [0.5, None]


async def test_release(model: ResponsesModel, upstream: ResponsesUpstream) -> None:
    name = model.keeper("m")
    assert name is not None
    upstream.answer(*answer_events("a", "b", gates={1: Gate()}))
    upstream.breaks.append(4)
    log = Log()
    with pytest.raises(ModelUnavailable):
        await log.attempt(model)
    ours = Continuation(1, name, "resp_0", 3)
    await model.release(Continuation(1, "another", "resp_0"), completed=False)
    await model.release(Continuation(1, name), completed=False)
    await model.release(ours, completed=True)
    assert not upstream.cancelled
    await model.release(ours, completed=False)
    await model.release(ours, completed=False)
    assert upstream.cancelled == ["resp_0", "resp_0"]
    deleting = ResponsesModel("key", upstream.url, read_timeout=within(5.0), delete=True)
    assert deleting.keeper("m") == name
    await deleting.release(ours, completed=True)
    await deleting.release(ours, completed=False)
    assert upstream.deleted == ["resp_0"]
    await deleting.aclose()
    other = ResponsesModel("key", "http://127.0.0.1:1/v1", read_timeout=1.0)
    assert other.keeper("m") != name
    with pytest.raises(ModelUnavailable):
        await other.release(Continuation(1, str(other.keeper("m")), "resp_0"), completed=False)
    await other.aclose()
