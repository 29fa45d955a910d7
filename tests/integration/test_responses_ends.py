"""How answers of ResponsesModel end: by the server, by faults, and with their tasks."""

import pytest

from adapters.openai.responses import ResponsesModel
from application.errors import ContinuationLost, ModelRefused, ModelUnavailable
from application.ports import Kept, Numbered
from domain.continuation import Continuation
from domain.request import TaskRequest
from tests.doubles.responses_upstream import (
    ResponsesUpstream,
    Step,
    answer_events,
    delta,
    end_event,
    item_event,
    message_item,
)
from tests.doubles.upstream import Gate, Script, refusal
from tests.integration.responses_log import Log
from tests.waiting import within


@pytest.fixture
def model(responses_model: ResponsesModel) -> ResponsesModel:
    return responses_model


@pytest.fixture
def upstream(responses_upstream: ResponsesUpstream) -> ResponsesUpstream:
    return responses_upstream


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
