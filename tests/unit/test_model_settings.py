"""The key and the address of the model's server, without the white space around them."""

import pytest

from entrypoints.settings import SettingsError, load_settings


@pytest.mark.parametrize("text", [" sk-a\n", "sk-a\r\n", "\tsk-a", "\u00a0sk-a"])
def test_white_space_around_the_key_is_stripped(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", text)
    key = load_settings(env_file=None).model.openai_api_key
    assert key is not None
    assert key.get_secret_value() == "sk-a"


def test_a_key_of_white_space_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", " \n")
    assert load_settings(env_file=None).model.demo


@pytest.mark.parametrize(
    "text", ["sk-planted\nsk-b", "sk-planted\u2013b", "sk-planted\x7f", "“sk-planted”"]
)
def test_a_key_that_no_header_can_hold_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", text)
    with pytest.raises(SettingsError) as refused:
        load_settings(env_file=None)
    assert "OPENAI_API_KEY: must be ASCII" in str(refused.value)
    assert "planted" not in str(refused.value)


def test_white_space_around_the_address_is_stripped() -> None:
    settings = load_settings(env_file=None, openai_base_url=" http://localhost:11434/v1/ ")
    assert settings.model.openai_base_url == "http://localhost:11434/v1"
