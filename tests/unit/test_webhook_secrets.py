"""The secrets of webhooks: how they are made, written in the settings, and never shown."""

import base64
from pathlib import Path

import pytest
from click.testing import CliRunner

from adapters.webhooks import MalformedSecret, new_secret, parse_secret, secret_text
from entrypoints.cli import main
from entrypoints.settings import SettingsError, load_settings
from entrypoints.settings.reference import describe
from entrypoints.settings.webhooks import parse_secrets

KEY = bytes(range(200, 232))
TEXT = "whsec_" + base64.b64encode(KEY).decode()


def test_a_secret_is_read_with_and_without_padding() -> None:
    assert parse_secret(TEXT).key == parse_secret(TEXT.rstrip("=")).key == KEY
    assert secret_text(parse_secret(TEXT)) == TEXT
    assert parse_secret(new_secret()) != parse_secret(new_secret())


def _as_text(key: bytes) -> str:
    return "whsec_" + base64.b64encode(key).decode()


@pytest.mark.parametrize(
    "text",
    ["", "whsec_", TEXT[6:], f"{TEXT}!", "whsec_é", _as_text(KEY[:23]), _as_text(KEY * 3)],
)
def test_a_malformed_secret_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(MalformedSecret) as raised:
        parse_secret(text)
    assert len(text) < 10 or text[6:] not in str(raised.value)


def test_entries_with_and_without_names() -> None:
    first, second, own = new_secret(), new_secret(), new_secret()
    secrets = parse_secrets(f"alice:{first}, alice:{second}\n{own}")
    assert secrets == {
        "alice": (parse_secret(first), parse_secret(second)),
        None: (parse_secret(own),),
    }
    assert first[6:] not in repr(secrets)
    with pytest.raises(ValueError, match="entry 2 does not begin") as raised:
        parse_secrets(f"{own} no/name:{first} bob:{first[6:]} x:{own}y")
    assert len(str(raised.value).splitlines()) == 3
    assert first[6:20] not in str(raised.value)


def test_what_must_hold_between_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGTASK_WEBHOOK_URL", "http://example.org/")
    monkeypatch.setenv("LONGTASK_WEBHOOK_SECRETS", f"alice:{TEXT}")
    with pytest.raises(SettingsError) as raised:
        load_settings(None)
    for part in ("needs a secret of the service", "names an API key, but there are none", "https"):
        assert part in str(raised.value)
    monkeypatch.setenv("LONGTASK_WEBHOOK_SECRETS", TEXT)
    monkeypatch.setenv("LONGTASK_WEBHOOK_ALLOW_PRIVATE", "true")
    settings = load_settings(None)
    assert settings.webhooks.webhook_url == "http://example.org/"
    assert TEXT[6:] not in repr(settings)
    shown = {name: value for name, value, _ in describe(settings)}
    assert shown["LONGTASK_WEBHOOK_SECRETS"] == "(set)"


@pytest.mark.parametrize("name", ["LONGTASK_WEBHOOK_URL", "LONGTASK_WEBHOOK_SECRETS"])
def test_a_malformed_setting_is_told_once(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("LONGTASK_WEBHOOK_SECRETS", TEXT)
    monkeypatch.setenv(name, "wrong")
    with pytest.raises(SettingsError) as raised:
        load_settings(None)
    assert str(raised.value).count("\n") == 0
    assert name in str(raised.value)


def test_the_command_adds_to_the_secrets_that_are_set(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    file = Path(".env")
    file.write_text("A=b")  # without a line's end
    given = []
    for arguments in ([], ["alice"], ["alice"]):
        done = CliRunner().invoke(main, ["webhook", "secret", *arguments])
        assert done.exit_code == 0
        given.append(done.stderr.splitlines()[-1])
        with file.open("a") as lines:
            lines.write(done.stdout)
    monkeypatch.setenv("LONGTASK_API_KEYS", "alice:lt_" + "a" * 20)
    monkeypatch.setenv("LONGTASK_STREAM_SECRET", "s" * 32)
    own, first, second = map(parse_secret, given)
    secrets = load_settings(file).webhooks.webhook_secrets
    assert secrets == {None: (own,), "alice": (first, second)}


def test_the_command_refuses_what_is_no_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["webhook", "secret", "a b"])
    assert done.exit_code == 1
    assert "a name is 1 to 64 letters" in done.stderr
