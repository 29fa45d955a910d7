"""The doctor tells a server that goes on from the beginning of an answer from one that does not."""

import pytest
from pydantic import SecretStr

from entrypoints.doctor.findings import Finding
from entrypoints.doctor.prefill import check_prefill
from entrypoints.settings.model import ModelSettings
from tests.doubles.prefilling_upstream import PrefillingUpstream
from tests.doubles.upstream import Script, answer, reasoning, refusal


async def _found(url: str, kind: str) -> list[Finding]:
    settings = ModelSettings.model_validate(
        {
            "openai_base_url": url,
            "openai_api_key": SecretStr("key"),
            "default_model": "m",
            "prefill": kind,
        }
    )
    return [finding async for finding in check_prefill(settings)]


@pytest.mark.parametrize("kind", ["vllm", "mistral"])
async def test_the_server_that_the_settings_name_goes_on(kind: str) -> None:
    with PrefillingUpstream().running() as upstream:
        assert isinstance(upstream, PrefillingUpstream)
        upstream.kind, upstream.whole = kind, "one two three four five six seven eight nine ten"
        [found] = await _found(upstream.url, kind)
        assert (found.level, found.part) == ("ok", "model")
        [found] = await _found(upstream.url, "kimi")
        assert found.level == "fail"
        assert 'said "one two three' in found.what
        assert "LONGTASK_PREFILL=off" in found.advice
        for script in (refusal(400), Script([reasoning("Hm."), *answer("six")])):
            upstream.then(script)
            [found] = await _found(upstream.url, kind)
            assert found.level == "warn"
            assert "refuses to, or it reasons first" in found.what
        upstream.then(refusal(401))
        [found] = await _found(upstream.url, kind)
        assert "could not be tried (invalid_api_key)" in found.what
        assert await _found(upstream.url, "off") == []
