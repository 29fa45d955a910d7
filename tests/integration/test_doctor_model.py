"""The doctor names a base URL that lacks /v1, or has more than that."""

import json

import pytest
from pydantic import SecretStr

from entrypoints.doctor.model import check_model
from entrypoints.settings.model import ModelSettings
from tests.doubles.upstream import Script, Upstream

MODELS = Script([json.dumps({"object": "list", "data": [{"id": "m", "object": "model"}]}).encode()])
MODELS.headers["content-type"] = "application/json"
PAGE = Script([b"<html>Welcome</html>"], headers={"content-type": "text/html"})
NOTHING = Script([b"404 page not found"], 404)


async def _said(url: str) -> list[str]:
    settings = ModelSettings(
        openai_base_url=url, openai_api_key=SecretStr("key"), default_model="m"
    )
    return [str(finding) async for finding in check_model(settings)]


@pytest.mark.parametrize("first", [NOTHING, PAGE, Script([b"{}"], 405)])
async def test_the_address_with_v1_is_advised(upstream: Upstream, first: Script) -> None:
    upstream.then(first, MODELS)
    [said] = await _said(upstream.url.removesuffix("/v1"))
    assert [each.path for each in upstream.received] == ["/models", "/v1/models"]
    assert f"set OPENAI_BASE_URL to {upstream.url}" in said


@pytest.mark.parametrize("call", ["chat/completions", "models/"])
async def test_an_address_of_a_call_is_told_from_the_base_url(
    upstream: Upstream, call: str
) -> None:
    upstream.then(NOTHING, MODELS)
    [said] = await _said(f"{upstream.url}/{call}")
    assert upstream.received[-1].path == "/v1/models"
    assert f"set OPENAI_BASE_URL to {upstream.url}'" in said


async def test_a_list_that_is_not_called_json_is_read(upstream: Upstream) -> None:
    upstream.then(Script(MODELS.steps, headers={"content-type": "text/plain"}))
    [said] = await _said(upstream.url)
    assert "offers m" in said


@pytest.mark.parametrize("first", [NOTHING, PAGE])
async def test_no_other_address_is_advised(upstream: Upstream, first: Script) -> None:
    upstream.then(first, NOTHING)
    [said] = await _said(upstream.url.removesuffix("/v1"))
    assert "cannot be listed" in said
    upstream.then(first)
    [said] = await _said(upstream.url)
    assert "cannot be listed" in said


async def test_models_to_choose_from_are_shown(upstream: Upstream) -> None:
    data = [{"id": name} for name in ("a:latest", "b", "c" * 999, "d")]
    upstream.then(Script([json.dumps({"data": data}).encode()], headers=MODELS.headers))
    [said] = await _said(upstream.url)
    assert f"does not list m, but a:latest, b, {'c' * 80}, …" in said


async def test_the_right_address_is_fine(upstream: Upstream) -> None:
    upstream.then(MODELS)
    [said] = await _said(upstream.url)
    assert "offers m" in said
