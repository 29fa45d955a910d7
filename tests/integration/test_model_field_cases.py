"""What servers in the field answer to a streamed chat completion, and what users should get."""

import asyncio
import json
from collections.abc import AsyncIterator
from itertools import cycle
from typing import Any

import pytest

from adapters.openai import OpenAIModel
from application.errors import ModelRefused, ModelUnavailable
from application.ports import Finished
from domain.events import Usage
from tests.builders import REQUEST
from tests.doubles.model import text_of
from tests.doubles.upstream import DONE, USAGE, Gate, Script, Upstream, event, finish, piece
from tests.waiting import within

KEY = "sk-planted-secret"
Answer = tuple[str, Finished]


@pytest.fixture
async def model(upstream: Upstream) -> AsyncIterator[OpenAIModel]:
    opened = OpenAIModel(KEY, upstream.url, read_timeout=30.0)
    yield opened
    await opened.aclose()


async def _answer(model: OpenAIModel) -> Answer:
    async with asyncio.timeout(within(10)):
        *pieces, end = [each async for each in model.stream(REQUEST)]
    assert isinstance(end, Finished)
    return text_of(pieces), end


async def _fault(model: OpenAIModel) -> ModelRefused | ModelUnavailable:
    with pytest.raises((ModelRefused, ModelUnavailable)) as fault:
        await _answer(model)
    assert isinstance(fault.value, ModelRefused | ModelUnavailable)
    return fault.value


def _json(status: int, body: object) -> Script:
    return Script([json.dumps(body).encode()], status, {"content-type": "application/json"})


def _text(status: int, body: str) -> Script:
    return Script([body.encode()], status, {"content-type": "text/html"})


TOO_LONG = "prompt is too long: 1284668 tokens > 1000000 maximum"


@pytest.mark.parametrize(
    ("code", "ours"),
    [
        (400, "invalid_request"),
        (401, "invalid_api_key"),
        (402, "insufficient_quota"),
        (403, "permission_denied"),
        (404, "model_not_found"),
        ("413", "context_length_exceeded"),
        (429, "rate_limited"),
        (502, "model_error"),
    ],
)
async def test_a_number_inside_a_stream_is_a_status(
    upstream: Upstream, model: OpenAIModel, code: int | str, ours: str
) -> None:
    said = {"code": code, "message": f"{TOO_LONG} {KEY}"}
    upstream.then(
        Script([b": OPENROUTER PROCESSING\n\n", event({"choices": [], "error": said}), DONE])
    )
    fault = await _fault(model)
    assert fault.code == ours
    assert isinstance(fault, ModelUnavailable) == (ours in ("rate_limited", "model_error"))
    quoted = ours in ("invalid_request", "model_not_found", "context_length_exceeded")
    assert (TOO_LONG in fault.message) == quoted
    assert KEY not in fault.message
    assert len(upstream.received) == 1


INVALID = "API key not valid. Please pass a valid API key."
BODIES = [
    [{"error": {"code": 400, "message": INVALID, "status": "INVALID_ARGUMENT"}}],
    {"error": {"code": 400, "message": INVALID}},
    {"error": {"code": 400, "message": "Provider returned error", "metadata": {"raw": INVALID}}},
    {"detail": INVALID, "code": 400},
    {"detail": [{"loc": ["body"], "msg": INVALID, "type": "x"}], "code": 400},
    {"object": "error", "message": INVALID, "type": "BadRequestError", "code": 400},
    {"object": "error", "message": {"detail": [{"msg": INVALID}]}, "code": "400"},
]


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("way", ["status", "event", "whole"])
async def test_the_reason_is_quoted_whatever_the_shape_of_the_body(
    upstream: Upstream, model: OpenAIModel, body: Any, way: str
) -> None:
    scripts = {
        "status": _json(400, body),
        "event": Script([event(body), DONE]),
        "whole": _json(200, body),
    }
    upstream.then(scripts[way])
    fault = await _fault(model)
    assert fault.code == "invalid_request"
    assert INVALID in fault.message


@pytest.mark.parametrize(
    "script",
    [
        _text(403, "<!DOCTYPE html><title>Attention Required! | Cloudflare</title>"),
        _text(404, "<html>404 Not Found</html>"),
        _text(405, "\n <html>Not Allowed</html>"),
        _text(200, "<!doctype html><title>Open WebUI</title>"),
        _text(404, "404 page not found\n"),
        _text(404, ""),
        _json(404, {"detail": "Not Found"}),
        _json(405, {"detail": "Method Not Allowed"}),
        _json(404, {"error": {"message": "Invalid URL (POST /chat/completions)"}}),
        _json(200, {"error": "Unexpected endpoint or method. (POST /chat/completions)"}),
    ],
)
async def test_a_wrong_address_is_called_that(
    upstream: Upstream, model: OpenAIModel, script: Script
) -> None:
    upstream.then(script)
    fault = await _fault(model)
    assert isinstance(fault, ModelRefused)
    assert fault.code == "wrong_address"
    assert "OPENAI_BASE_URL" in fault.message
    assert "/v1" in fault.message
    assert "<" not in fault.message


@pytest.mark.parametrize(
    ("script", "code"),
    [
        (_text(502, "<html>Bad Gateway</html>"), "model_error"),
        (_text(429, "<html>Slow down</html>"), "rate_limited"),
        (_json(404, {"error": {"message": "model 'x' not found"}}), "model_not_found"),
    ],
)
async def test_what_is_no_wrong_address(
    upstream: Upstream, model: OpenAIModel, script: Script, code: str
) -> None:
    upstream.then(script)
    assert (await _fault(model)).code == code


async def test_a_whole_answer_in_place_of_a_stream(upstream: Upstream, model: OpenAIModel) -> None:
    choice = {"index": 0, "message": {"role": "assistant", "content": "Hello"}}
    whole = {"model": "w", "choices": [{**choice, "finish_reason": "stop"}]}
    told = {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}
    upstream.then(_json(200, whole), _json(200, {**whole, "usage": told}))
    assert await _answer(model) == ("Hello", Finished("stop", "w", None))
    assert await _answer(model) == ("Hello", Finished("stop", "w", Usage(3, 5, 8)))


@pytest.mark.parametrize("body", [b"{}", b'{"choices": [', b"[]", b'{"choices": []}'])
async def test_half_an_object_or_an_empty_one_is_no_answer(
    upstream: Upstream, model: OpenAIModel, body: bytes
) -> None:
    upstream.then(Script([body]))
    assert (await _fault(model)).code == "invalid_response"


@pytest.mark.parametrize("reason", ["", "unknown", None])
async def test_a_mere_end_of_the_connection_completes_nothing(
    upstream: Upstream, model: OpenAIModel, reason: str | None
) -> None:
    said = [
        event({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": reason}]})
        for text in ("Hello", " wor")
    ]
    upstream.then(Script(said), Script([*said, DONE]))
    assert (await _fault(model)).code == "incomplete"
    assert await _answer(model) == ("Hello wor", Finished(reason or "stop", REQUEST.model, None))


async def test_done_without_a_reason_is_a_completed_answer(
    upstream: Upstream, model: OpenAIModel
) -> None:
    upstream.then(Script([piece("Hello"), DONE]))
    assert await _answer(model) == ("Hello", Finished("stop", "test-model", None))


@pytest.mark.soak
@pytest.mark.parametrize("rest", [[Gate()], cycle([b": ping\n\n", 0.01]), cycle([b": ping\n\n"])])
@pytest.mark.parametrize("usage", [True, False])
async def test_what_stays_open_is_not_waited_for(
    upstream: Upstream, model: OpenAIModel, rest: Any, usage: bool
) -> None:
    said = [piece("Hello"), finish(), *([USAGE] if usage else [])]

    def steps() -> Any:
        yield from said
        yield from rest

    upstream.then(Script(steps()))
    counted = Usage(3, 5, 8) if usage else None
    assert await _answer(model) == ("Hello", Finished("stop", "test-model", counted))
    assert await asyncio.to_thread(upstream.received[0].gone.wait, within(5))


async def test_a_connection_that_breaks_after_the_reason_costs_no_answer(
    upstream: Upstream, model: OpenAIModel
) -> None:
    upstream.then(Script([piece("Hello"), finish(), 0.05], cut=True))
    assert await _answer(model) == ("Hello", Finished("stop", "test-model", None))


async def test_text_after_the_reason_is_read(upstream: Upstream, model: OpenAIModel) -> None:
    upstream.then(Script([piece("a"), finish(), 0.02, piece("b"), 0.02, piece("c"), USAGE]))
    assert await _answer(model) == ("abc", Finished("stop", "test-model", Usage(3, 5, 8)))


async def test_the_reason_error_is_a_failure(upstream: Upstream, model: OpenAIModel) -> None:
    upstream.then(Script([piece("Hello"), finish("error"), USAGE, DONE]))
    fault = await _fault(model)
    assert isinstance(fault, ModelUnavailable)
    assert fault.code == "model_error"


async def test_an_answer_that_reasoning_ate_says_how_many_tokens(
    upstream: Upstream, model: OpenAIModel
) -> None:
    told = {"prompt_tokens": 3, "completion_tokens": 1000, "total_tokens": 1003}
    details = {"completion_tokens_details": {"reasoning_tokens": 1000}}
    empty = event({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]})
    counts = event({"choices": [], "usage": {**told, **details}})
    upstream.then(Script([empty, finish("length"), counts, DONE]))
    text, end = await _answer(model)
    assert text == ""
    assert (end.reason, end.usage) == ("length", Usage(3, 1000, 1003, 1000))
