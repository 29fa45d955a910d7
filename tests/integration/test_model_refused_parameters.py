"""A parameter of ours that a server refuses is left out or replaced, whatever says so."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from adapters.openai import OpenAIModel
from application.errors import ModelRefused
from application.ports import Finished
from domain.request import TaskRequest
from tests.doubles.upstream import Script, Upstream, event, piece

REQUEST = TaskRequest(model="m", max_tokens=9, temperature=0.5, prompt="Hi.")


@pytest.fixture
async def model(upstream: Upstream) -> AsyncIterator[OpenAIModel]:
    opened = OpenAIModel("sk-planted-secret", upstream.url, read_timeout=30.0)
    yield opened
    await opened.aclose()


def _openai(message: str, param: str | None = None, code: str | None = None) -> dict[str, Any]:
    error = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
    return {"error": error}


AZURE = (
    "Unsupported parameter: 'max_tokens' is not supported with this model. "
    "Use 'max_completion_tokens' instead."
)
OPTIONS = ["body", "stream_options", "include_usage"]
EXTRA = {"type": "extra_forbidden", "loc": OPTIONS, "msg": "Extra inputs are not permitted"}
VLLM = (
    "[{'type': 'extra_forbidden', 'loc': ('body', 'stream_options'), "
    "'msg': 'Extra inputs are not permitted', 'input': {'include_usage': True}}]"
)
ONLY_ONE = (
    "Unsupported value: 'temperature' does not support 0.5 with this model. "
    "Only the default (1) value is supported."
)
LITELLM = (
    "litellm.UnsupportedParamsError: openai does not support parameters: ['temperature'], "
    "for model=o1. To drop these, set `litellm.drop_params=True`"
)
REFUSALS: dict[str, tuple[int, object, str]] = {
    "openai": (400, _openai("No.", "max_tokens", "unsupported_parameter"), "max_tokens"),
    "openai's value": (400, _openai(ONLY_ONE, "temperature", "unsupported_value"), "temperature"),
    "openai's dotted": (
        400,
        _openai("Unknown.", "stream_options.include_usage", "unknown_parameter"),
        "stream_options",
    ),
    "azure": (400, _openai(AZURE), "max_tokens"),
    "mistral": (
        422,
        {"object": "error", "message": {"detail": [EXTRA]}, "type": "invalid_request_error"},
        "stream_options",
    ),
    "fastapi": (422, {"detail": [EXTRA]}, "stream_options"),
    "litellm": (400, _openai(LITELLM, None, "400"), "temperature"),
    "vllm": (
        400,
        {"object": "error", "message": VLLM, "type": "BadRequestError", "code": 400},
        "stream_options",
    ),
    "openrouter": (
        400,
        {
            "error": {
                "message": "Provider returned error",
                "code": 400,
                "metadata": {"raw": json.dumps(_openai(AZURE)), "provider_name": "Azure"},
            }
        },
        "max_tokens",
    ),
    "gemini": (
        400,
        [{"error": {"code": 400, "message": 'Unknown name "stream_options": Cannot find field.'}}],
        "stream_options",
    ),
    "a text": (400, "temperature is deprecated for this model", "temperature"),
}


@pytest.mark.parametrize("in_a_stream", [False, True])
@pytest.mark.parametrize("server", REFUSALS)
async def test_it_is_left_out_or_replaced_and_remembered(
    upstream: Upstream, model: OpenAIModel, server: str, in_a_stream: bool
) -> None:
    status, body, name = REFUSALS[server]
    data = json.dumps(body).encode()
    if in_a_stream:
        error = data if isinstance(body, dict | list) else b'{"error": %b}' % data
        upstream.then(Script([b": PROCESSING\n\n", b"data: %b\n\n" % error]))
    else:
        upstream.then(Script([data], status))
    for _ in range(2):
        items = [each async for each in model.stream(REQUEST)]
        assert isinstance(items[-1], Finished)
    first, *later = [received.body for received in upstream.received]
    assert len(later) == 2
    expected = {key: value for key, value in first.items() if key != name}
    if name == "max_tokens":
        expected["max_completion_tokens"] = 9
    assert later == [expected, expected]


@pytest.mark.parametrize(
    "body",
    [
        _openai("max_tokens is too large: 9. This model supports at most 4.", "max_tokens"),
        _openai("temperature must be between 0 and 1", "temperature", "invalid_value"),
        _openai("Unsupported parameter: 'top_p'", "top_p", "unsupported_parameter"),
        {"detail": [{"type": "less_than_equal", "loc": ["body", "temperature"], "msg": "too big"}]},
    ],
)
async def test_a_value_that_is_wrong_is_told(
    upstream: Upstream, model: OpenAIModel, body: object
) -> None:
    upstream.then(Script([json.dumps(body).encode()], 400))
    with pytest.raises(ModelRefused) as refused:
        await anext(model.stream(REQUEST))
    assert refused.value.code == "invalid_request"
    assert len(upstream.received) == 1


async def test_one_that_is_refused_again_is_told(upstream: Upstream, model: OpenAIModel) -> None:
    again = Script([json.dumps(_openai(AZURE)).encode()], 400)
    upstream.then(again, again)
    with pytest.raises(ModelRefused):
        await anext(model.stream(REQUEST))
    assert len(upstream.received) == 2


async def test_an_answer_that_has_begun_is_not_asked_for_again(
    upstream: Upstream, model: OpenAIModel
) -> None:
    upstream.then(Script([piece("a"), event(_openai(AZURE))]))
    with pytest.raises(ModelRefused):
        assert [each async for each in model.stream(REQUEST)]
    assert len(upstream.received) == 1


async def test_what_is_left_out_is_logged_once(upstream: Upstream, model: OpenAIModel) -> None:
    """Neither a wish of a caller nor the count of tokens goes missing in silence."""
    upstream.then(
        Script([json.dumps(_openai("", "temperature", "unsupported_value")).encode()], 400)
    )
    with capture_logs() as lines:
        for _ in range(2):
            assert [each async for each in model.stream(REQUEST)]
    [line] = lines
    assert line["log_level"] == "warning"
    assert (line["model"], line["parameters"]) == ("m", ["temperature"])


async def test_only_so_many_models_are_remembered(
    upstream: Upstream, model: OpenAIModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clients may name any number of models."""
    monkeypatch.setattr("adapters.openai.known_models.MODELS_REMEMBERED", 2)
    refusal = Script([json.dumps(_openai(AZURE)).encode()], 400)

    async def calls(name: str) -> int:
        before = len(upstream.received)
        async for _ in model.stream(replace(REQUEST, model=name)):
            pass
        return len(upstream.received) - before

    for name in "abc":
        upstream.then(refusal)
        assert await calls(name) == 2
    assert await calls("c") == 1
    upstream.then(refusal)
    assert await calls("a") == 2  # forgotten


async def test_without_a_key_nothing_is_left_out_of_a_quote(upstream: Upstream) -> None:
    upstream.then(Script([json.dumps(_openai("There is none of that.")).encode()], 400))
    keyless = OpenAIModel("", upstream.url, read_timeout=30.0)
    with pytest.raises(ModelRefused, match="There is none of that"):
        await anext(keyless.stream(REQUEST))
    await keyless.aclose()


async def test_what_other_calls_learnt_is_kept(model: OpenAIModel) -> None:
    """A call that began before them would else forget it, and could be refused without end."""
    temperature = _openai("No.", "temperature", "unsupported_parameter")
    assert model._learns_refusal(REQUEST, frozenset(), temperature)
    assert model._learns_refusal(
        REQUEST, frozenset(), _openai("No.", "max_tokens", "unsupported_parameter")
    )
    assert model._known.refused("m") == {"max_tokens", "temperature"}
