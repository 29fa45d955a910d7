"""What the model's server is sent: the messages as they are, and options in the JSON body alone."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from adapters.openai import OpenAIModel
from application.errors import ModelRefused
from application.ports import Finished
from domain.request import TaskRequest
from tests.doubles.upstream import Received, Script, Upstream

PLAIN = TaskRequest(model="m", prompt="Hi.")
OPTIONS: dict[str, Any] = {
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
    "tool_choice": "auto",
    "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}},
    "reasoning_effort": "high",
    "top_p": 0.25,
    "stop": ["\n", "\u2028"],
    "seed": 2**53,
    "logit_bias": {"50256": -100},
    "user": None,
    "vendor": {"own": [1.5, True, None, "\U0001f600"]},
}


@pytest.fixture
async def model(upstream: Upstream) -> AsyncIterator[OpenAIModel]:
    opened = OpenAIModel("sk-planted-secret", upstream.url, read_timeout=30.0)
    yield opened
    await opened.aclose()


async def _sent(upstream: Upstream, model: OpenAIModel, request: TaskRequest) -> Received:
    items = [each async for each in model.stream(request)]
    assert isinstance(items[-1], Finished)
    return upstream.received[-1]


async def test_options_are_in_the_body_as_they_are(upstream: Upstream, model: OpenAIModel) -> None:
    sent = await _sent(upstream, model, replace(PLAIN, options=OPTIONS))
    assert sent.body == {
        "model": "m",
        "messages": [{"role": "user", "content": "Hi."}],
        "stream": True,
        "stream_options": {"include_usage": True},
        **OPTIONS,
    }


KEYWORDS: dict[str, Any] = {
    "extra_headers": {"authorization": "Bearer other", "x-injected": "1"},
    "extra_query": {"injected": "1"},
    "extra_body": {"injected": "1"},
    "timeout": 0.000001,
    "idempotency_key": "other",
    "security": {"bearer": "other"},
    "base_url": "http://127.0.0.1:1",
    "api_key": "other",
    "headers": {"x-injected": "1"},
    "self": 1,
}
OURS: dict[str, Any] = {
    "model": "other",
    "messages": [],
    "stream": False,
    "stream_options": None,
    "max_tokens": 1,
    "temperature": 1,
}


async def test_no_option_changes_the_call_of_the_client(
    upstream: Upstream, model: OpenAIModel
) -> None:
    """A start refuses most of them by name; the adapter does not rely on it."""
    asked = replace(PLAIN, max_tokens=7, temperature=0.5)
    usual = await _sent(upstream, model, asked)
    sent = await _sent(upstream, model, replace(asked, options={**KEYWORDS, **OURS}))
    assert sent.path == usual.path == "/v1/chat/completions"
    changing = {"content-length"}
    assert {key: value for key, value in sent.headers.items() if key not in changing} == {
        key: value for key, value in usual.headers.items() if key not in changing
    }
    assert sent.headers["authorization"] == "Bearer sk-planted-secret"
    assert sent.body == {**usual.body, **KEYWORDS}


MESSAGES: tuple[dict[str, Any], ...] = (
    {"role": "developer", "content": [{"type": "text", "text": "Be brief.", "x": None}]},
    {
        "role": "user",
        "name": "ann",
        "content": [
            {"type": "text", "text": "What is this?"},
            {
                "type": "image_url",
                "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"},
            },
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:x/y;base64,AAAA"}},
            {"type": "video_url", "video_url": {"url": "https://e.example/v.mp4"}},
        ],
    },
    {
        "role": "assistant",
        "content": None,
        "refusal": None,
        "tool_calls": [
            {"id": "x", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        ],
        "reasoning_content": "hm",
    },
    {"role": "tool", "tool_call_id": "x", "content": "42"},
    {"role": "user", "content": "So?", "vendor": {"cache": True}},
)


async def test_messages_are_sent_as_they_are(upstream: Upstream, model: OpenAIModel) -> None:
    request = TaskRequest(
        model="m",
        system="S",
        history=({"role": "user", "content": "before"}, {"role": "assistant", "content": "yes"}),
        messages=MESSAGES,
    )
    sent = await _sent(upstream, model, request)
    assert sent.body["messages"] == [
        {"role": "system", "content": "S"},
        {"role": "user", "content": "before"},
        {"role": "assistant", "content": "yes"},
        *MESSAGES,
    ]


def _refusing(message: str, param: str, code: str = "unsupported_parameter") -> Script:
    error = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
    return Script([json.dumps({"error": error}).encode()], 400)


async def test_max_tokens_is_replaced_beside_options(
    upstream: Upstream, model: OpenAIModel
) -> None:
    upstream.then(_refusing("Use 'max_completion_tokens' instead.", "max_tokens"))
    request = replace(PLAIN, max_tokens=9, options=OPTIONS)
    sent = await _sent(upstream, model, request)
    assert len(upstream.received) == 2
    first = upstream.received[0].body
    assert first.pop("max_tokens") == 9
    assert sent.body == {**first, "max_completion_tokens": 9}


@pytest.mark.parametrize("name", ["top_p", "reasoning_effort", "tools", "vendor"])
async def test_an_option_that_the_server_refuses_ends_the_task_in_its_words(
    upstream: Upstream, model: OpenAIModel, name: str
) -> None:
    """It is a wish of the client: never left out in silence."""
    words = f"Unsupported parameter: '{name}' is not supported with this model."
    upstream.then(_refusing(words, name))
    with pytest.raises(ModelRefused) as refused:
        await anext(model.stream(replace(PLAIN, max_tokens=9, temperature=0.5, options=OPTIONS)))
    assert refused.value.code == "invalid_request"
    assert words in refused.value.message
    assert len(upstream.received) == 1
