"""Lists of models, as servers write them."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from adapters.openai import OpenAIModel
from adapters.openai.model_list import LIST_LIMIT
from application.errors import ModelRefused, ModelUnavailable
from application.ports import OfferedModel
from tests.doubles.upstream import Script, Upstream, refusal


@pytest.fixture
async def model(upstream: Upstream) -> AsyncIterator[OpenAIModel]:
    opened = OpenAIModel("key", upstream.url, read_timeout=5.0)
    yield opened
    await opened.aclose()


def listed(data: Any, kind: str = "application/json") -> Script:
    return Script([json.dumps(data).encode()], headers={"content-type": kind})


WHOLE = {"id": "org/a", "object": "model", "created": 5, "owned_by": "x"}


@pytest.mark.parametrize(
    "script",
    [
        listed({"object": "list", "data": [WHOLE]}),
        listed({"data": [WHOLE]}, "text/plain"),
        listed([WHOLE]),
        listed({"data": [{**WHOLE, "created": 5.7}, {}, 1, {"id": ""}, {"id": 2}, None]}),
    ],
)
async def test_a_list(model: OpenAIModel, upstream: Upstream, script: Script) -> None:
    upstream.then(script)
    assert await model.models() == [OfferedModel("org/a", 5, "x")]
    [received] = upstream.received
    assert (received.path, received.headers["authorization"]) == ("/v1/models", "Bearer key")


async def test_what_a_server_does_not_say(model: OpenAIModel, upstream: Upstream) -> None:
    upstream.then(listed({"data": [{"id": "a", "created": "now", "owned_by": None}]}))
    assert await model.models() == [OfferedModel("a", 0, "")]


@pytest.mark.parametrize(
    "script",
    [
        listed({"models": []}),
        Script([b"<html>"]),
        Script([b"[" * 100_000]),
        Script([b'{"data": []}'], cut=True),
        Script([b" " * 65_536] * (LIST_LIMIT // 65_536 + 1)),
        refusal(500),
    ],
)
async def test_what_is_no_list(model: OpenAIModel, upstream: Upstream, script: Script) -> None:
    upstream.then(script)
    with pytest.raises(ModelUnavailable):
        await model.models()


async def test_a_refusal(model: OpenAIModel, upstream: Upstream) -> None:
    upstream.then(refusal(401, "invalid_api_key"))
    with pytest.raises(ModelRefused) as raised:
        await model.models()
    assert raised.value.code == "invalid_api_key"
