"""Keys, tokens and addresses: without the white space around them, and what a header can hold."""

import pytest
from pydantic import SecretStr

from entrypoints.settings import load_group, load_settings
from entrypoints.settings.group import Group
from entrypoints.settings.model import ModelSettings
from entrypoints.settings.queue import QueueSettings
from entrypoints.settings.store import StoreSettings

SECRETS: list[tuple[type[Group], str]] = [
    (ModelSettings, "OPENAI_API_KEY"),
    (QueueSettings, "QSTASH_TOKEN"),
    (QueueSettings, "QSTASH_CURRENT_SIGNING_KEY"),
    (QueueSettings, "QSTASH_NEXT_SIGNING_KEY"),
    (StoreSettings, "UPSTASH_REDIS_REST_TOKEN"),
]


def _load(group: type[Group], name: str) -> tuple[SecretStr | None, list[str]]:
    loaded, faults = load_group(group, None, {})
    return getattr(loaded, name.lower()), faults


@pytest.mark.parametrize(("group", "name"), SECRETS)
@pytest.mark.parametrize("text", [" sk-a\n", "sk-a\r\n", "\tsk-a", "\u00a0sk-a"])
def test_white_space_around_a_secret_is_stripped(
    monkeypatch: pytest.MonkeyPatch, group: type[Group], name: str, text: str
) -> None:
    monkeypatch.setenv(name, text)
    assert _load(group, name) == (SecretStr("sk-a"), [])


@pytest.mark.parametrize(("group", "name"), SECRETS)
def test_a_secret_of_white_space_is_none(
    monkeypatch: pytest.MonkeyPatch, group: type[Group], name: str
) -> None:
    monkeypatch.setenv(name, " \n")
    assert _load(group, name) == (None, [])


@pytest.mark.parametrize(("group", "name"), SECRETS)
@pytest.mark.parametrize(
    "text", ["sk-planted\nsk-b", "sk-planted\u2013b", "sk-planted\x7f", "“sk-planted”"]
)
def test_a_secret_that_no_header_can_hold_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, group: type[Group], name: str, text: str
) -> None:
    monkeypatch.setenv(name, text)
    _, (fault,) = _load(group, name)
    assert fault.startswith(f"{name}: must be ASCII")
    assert "planted" not in fault


def test_white_space_around_an_address_is_stripped() -> None:
    settings = load_settings(env_file=None, openai_base_url=" http://localhost:11434/v1/ ")
    assert settings.model.openai_base_url == "http://localhost:11434/v1"
