"""The doctor checks every upstream of LONGTASK_MODELS."""

import json
from typing import Any

from entrypoints.doctor.upstreams import check_models
from tests.doubles.responses_upstream import ResponsesUpstream
from tests.doubles.upstream import Script, Upstream, refusal
from tests.running import settings_for

KEY = "sk-planted-secret"


async def _said(*upstreams: dict[str, Any]) -> list[tuple[str, str, str]]:
    settings = settings_for(
        models=json.dumps({"upstreams": upstreams}), default_model=upstreams[0]["models"][0]
    )
    found = [each async for each in check_models(settings.model)]
    assert KEY not in str(found)
    return [(each.level, each.what, each.advice) for each in found]


def _lists(upstream: Upstream, *names: str) -> dict[str, Any]:
    data = json.dumps({"data": [{"id": each} for each in names]}).encode()
    upstream.models = Script([data], headers={"content-type": "application/json"})
    return {"name": "a", "models": ["m"], "baseUrl": upstream.url, "apiKey": KEY}


async def test_each_is_told_by_its_name(
    upstream: Upstream, responses_upstream: ResponsesUpstream
) -> None:
    own = _lists(upstream, "m")
    keeping = {"name": "b", "models": ["test-*"], "baseUrl": responses_upstream.url}
    demo = {"name": "c", "models": ["x"], "demo": True}
    said = await _said(own, {**keeping, "api": "responses"}, demo)
    assert [level for level, _, _ in said] == ["ok"] * 4
    first, second, third, last = (what for _, what, _ in said)
    assert first == f"a: {upstream.url}/ offers m"
    assert second.endswith("offers test-model")
    assert third == "b: the server of test-model keeps its answers"
    assert last.startswith("c: the demo model answers")


async def test_what_is_wrong_is_told_in_the_words_of_the_map(upstream: Upstream) -> None:
    own = _lists(upstream, "m", "other")
    [(level, what, advice)] = await _said({**own, "models": ["m", "n"]})
    assert (level, what) == ("warn", f"a: {upstream.url}/ does not list n, but m, other")
    assert advice == "correct its models or its names"
    renamed = {**own, "models": ["m", "gpt-4o"], "names": {"gpt-4o": "other"}}
    assert [level for level, _, _ in await _said(renamed)] == ["ok"]
    [(_, what, _)] = await _said({**own, "models": ["gpt-4", "gpt-*"], "names": {"gpt-4": "m"}})
    assert what.endswith("offers m")
    upstream.models = refusal(401)
    [(level, what, advice)] = await _said(own)
    assert (level, advice) == ("fail", "is its apiKey right?")
    [(level, what, advice)] = await _said({**own, "baseUrl": "http://127.0.0.1:9/v1"})
    assert (level, advice) == ("fail", "is its baseUrl right?")
