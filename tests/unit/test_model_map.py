"""LONGTASK_MODELS: what it says, and every fault by its path."""

import json
from pathlib import Path
from typing import Any

import pytest

from adapters.demo import DemoModel
from adapters.openai import OpenAIModel
from adapters.openai.responses import ResponsesModel
from adapters.prometheus import Metrics
from adapters.upstreams import RoutedModel
from entrypoints.models import open_model
from entrypoints.settings import Settings, SettingsError, load_settings
from entrypoints.settings.reference import describe
from tests.end_to_end.guarded import BOBS_ENTRY, SECRET

KEY = "sk-planted-secret"
OPENAI = {"name": "openai", "models": ["gpt-*"], "apiKey": KEY}
VLLM = {"name": "vllm", "models": ["llama*"], "baseUrl": "http://127.0.0.1:1/v1/"}


def _load(*upstreams: dict[str, Any], owners: Any = None, **others: Any) -> Settings:
    text = json.dumps({"upstreams": upstreams, **({} if owners is None else {"owners": owners})})
    return load_settings(env_file=None, models=text, **others)


def _faults(*upstreams: dict[str, Any], **others: Any) -> list[str]:
    with pytest.raises(SettingsError) as raised:
        _load(*upstreams, **others)
    told = str(raised.value)
    assert KEY not in told
    return [line.removeprefix("  - ") for line in told.splitlines()]


def test_each_upstream_has_settings_of_its_own() -> None:
    settings = _load(
        {**OPENAI, "api": "responses", "deleteResponses": True, "fallback": ["vllm"]},
        {**VLLM, "names": {"gpt-*": "llama3"}, "prefill": "vllm", "readTimeout": 5},
        {"name": "demo", "demo": True, "models": ["longtask-demo"]},
        openai_api_key="of another",
    ).model
    assert settings.models is not None
    openai, vllm, demo = map(settings.at, settings.models.upstreams)
    assert openai.openai_api_key is not None
    assert openai.openai_api_key.get_secret_value() == KEY
    assert (openai.openai_api, openai.delete_responses) == ("responses", True)
    assert openai.model_read_timeout == 600.0
    assert (vllm.openai_base_url, vllm.openai_api_key) == ("http://127.0.0.1:1/v1", None)
    assert (vllm.prefill, vllm.prefill_unasked, vllm.model_read_timeout) == ("vllm", True, 5.0)
    assert demo.demo
    assert not settings.demo
    assert (settings.continues_by_prefill, settings.keeps_answers) == (True, True)
    assert settings.name == "openai, vllm, demo"


async def test_each_upstream_is_opened_by_its_kind() -> None:
    chosen = _load({**OPENAI, "api": "responses"}, VLLM, {**VLLM, "name": "b", "models": ["x"]})
    model = open_model(chosen.model, Metrics())
    assert isinstance(model, RoutedModel)
    await model.aclose()
    found = chosen.model.models
    assert found is not None
    kinds = [type(open_model(chosen.model.at(each), Metrics())) for each in found.upstreams]
    assert kinds == [ResponsesModel, OpenAIModel, OpenAIModel]
    [demo] = [{"name": "demo", "demo": True, "models": ["*"]}]
    assert isinstance(open_model(_load(demo).model, Metrics()), RoutedModel)
    assert isinstance(open_model(load_settings(env_file=None).model, Metrics()), DemoModel)


def test_a_map_may_lie_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "models.json"
    file.write_text(json.dumps({"upstreams": [OPENAI]}))
    settings = load_settings(env_file=None, models=str(file))
    assert settings.model.name == "openai"
    shown = {name: value for name, value, _ in describe(settings)}
    assert shown["LONGTASK_MODELS"] == "(set)"
    secret_map = json.dumps({"upstreams": [{"name": "a", "apiKey": "sk-planted"}]})
    for wrong in (str(tmp_path / "none.json"), str(tmp_path)):
        with pytest.raises(SettingsError, match="is neither a JSON object nor a file"):
            load_settings(env_file=None, models=wrong)
    for before in ("'", "LONGTASK_MODELS="):
        with pytest.raises(SettingsError) as refused:
            load_settings(env_file=None, models=f"{before}{secret_map}'")
        assert "a JSON object begins with {, without quotes" in str(refused.value)
        assert "planted" not in str(refused.value)
    file.write_text("{")
    with pytest.raises(SettingsError, match=r"LONGTASK_MODELS: the file .*\.json is not JSON"):
        load_settings(env_file=None, models=str(file))


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"models": []}, "upstreams[0].models: must not be empty"),
        ({"models": ["a", 7]}, "upstreams[0].models[1]: must be a valid string"),
        ({"models": ["ü"]}, "upstreams[0].models[0]: must be printable ASCII"),
        ({"name": "a b"}, "upstreams[0].name: must match pattern"),
        ({"url": "x"}, "upstreams[0].url: is not known: is baseUrl meant?"),
        ({"models": "a"}, "upstreams[0].models: must be a list"),
        ({"baseUrl": "ftp://x"}, "upstreams[0].baseUrl: must be an http:// or https:// URL"),
        ({"readTimeout": 0}, "upstreams[0].readTimeout: must be greater than 0"),
        ({"readTimeout": "5"}, "upstreams[0].readTimeout: must be a valid number"),
        ({"api": "x"}, "upstreams[0].api: must be 'chat' or 'responses'"),
        ({"prefill": "vllm"}, "upstreams[0].prefill: OpenAI has none"),
        ({"prefillUnasked": True}, "upstreams[0].prefillUnasked: goes with prefill only"),
        ({"deleteResponses": True}, "upstreams[0].deleteResponses: goes with api responses only"),
        ({"apiKeyEnv": "X"}, "upstreams[0].apiKeyEnv: is given together with apiKey"),
        ({"demo": True}, "upstreams[0].apiKey: the demo model has none"),
        ({"names": {"a": "b*"}}, "upstreams[0].names.a: b* is no name, but a pattern"),
        ({"apiKey": f"{KEY}\n{KEY}"}, "upstreams[0].apiKey: must be ASCII without line breaks"),
        ({"fallback": ["x"]}, "upstreams[0].fallback[0]: x is the name of no upstream"),
        ({"fallback": ["openai"]}, "upstreams[0].fallback[0]: openai is this upstream itself"),
        ({"fallback": ["vllm"]}, "upstreams[0].fallback[0]: vllm has none of these models"),
    ],
)
def test_a_fault_of_an_upstream_is_told_by_its_path(changed: dict[str, Any], fault: str) -> None:
    told = _faults({**OPENAI, **changed}, VLLM)
    assert any(each.startswith(f"LONGTASK_MODELS: {fault}") for each in told), told


def test_every_fault_is_told_at_once() -> None:
    told = _faults({"name": "a"}, {"models": ["b"], "x": 1})
    assert told[:2] == [
        "LONGTASK_MODELS: upstreams[0].models: is required",
        "LONGTASK_MODELS: upstreams[1].name: is required",
    ]
    (unknown,) = told[2:]
    assert unknown.startswith("LONGTASK_MODELS: upstreams[1].x: is not known; known are name,")


def test_upstreams_that_do_not_go_together() -> None:
    named = {**VLLM, "names": {"gpt-*": "llama3"}}
    twice = _faults(OPENAI, {**OPENAI, "models": ["gpt-*", "o*"]})
    assert "upstreams[1].name: openai is the name of another" in twice[0]
    assert "upstreams[1].models[0]: gpt-* stands in upstreams[0] too" in twice[1]
    assert "stands here twice" in _faults({**OPENAI, "fallback": ["vllm", "vllm"]}, named)[0]
    keeping = _faults({**OPENAI, "fallback": ["vllm"]}, {**named, "api": "responses"})
    assert "upstreams[0].fallback[0]: vllm keeps its answers" in keeping[0]
    _load({**OPENAI, "api": "responses", "fallback": ["vllm"]}, named)


def test_what_does_not_go_with_other_settings() -> None:
    assert "OPENAI_BASE_URL and LONGTASK_MODELS" in _faults(OPENAI, openai_base_url="http://x")[0]
    keyless = {"name": "openai", "models": ["gpt-*"]}
    assert "openai is OpenAI, since it has no baseUrl" in _faults(keyless)[0]
    _load(keyless, openai_api_key=KEY)
    assert "LONGTASK_DEFAULT_MODEL is gpt-4o-mini" in _faults(VLLM)[0]
    _load(VLLM, default_model="llama3")
    unknown = _faults(OPENAI, owners={"bob": ["llama*"]}, api_keys=BOBS_ENTRY, stream_secret=SECRET)
    assert "owners.bob[0]: llama* matches no model of any upstream" in unknown[0]
    assert (
        "owners names API keys, but there are none"
        in _faults(OPENAI, owners={"bob": ["gpt-4o"]})[0]
    )
    _load(OPENAI, owners={"*": ["gpt-4o"]})


def test_a_key_may_stand_in_a_variable_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upstream = {**VLLM, "models": ["*"], "apiKeyEnv": "VLLM_KEY"}
    assert "upstreams[0].apiKeyEnv: VLLM_KEY is not set" in _faults(upstream)[0]
    file = tmp_path / ".env"
    file.write_text(f"LONGTASK_MODELS='{json.dumps({'upstreams': [upstream]})}'\nVLLM_KEY={KEY}\n")

    def key() -> str:
        model = load_settings(env_file=file).model
        assert model.models is not None
        secret = model.at(model.models.upstreams[0]).openai_api_key
        assert secret is not None
        return secret.get_secret_value()

    assert key() == KEY
    # A file that the user did not write must not say where a key of the environment goes.
    monkeypatch.setenv("VLLM_KEY", "of the environment")
    with pytest.raises(SettingsError, match="VLLM_KEY is set in the environment, but"):
        key()
    monkeypatch.setenv("LONGTASK_MODELS", json.dumps({"upstreams": [upstream]}))
    assert key() == "of the environment"
