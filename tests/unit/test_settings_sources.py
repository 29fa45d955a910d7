"""Secrets of the environment go where the environment says, not where a foreign folder says."""

from pathlib import Path

import pytest

from entrypoints.settings import (
    SettingsError,
    load_settings,
    settings_in_file,
    unknown_settings,
)
from entrypoints.settings.sources import PAIRS, stray_secrets

VALUES = {
    "OPENAI_API_KEY": "sk-planted-secret",
    "OPENAI_BASE_URL": "https://evil.example/v1",
    "QSTASH_TOKEN": "planted-token",
    "QSTASH_URL": "https://evil.example",
    "UPSTASH_REDIS_REST_TOKEN": "planted-token",
    "UPSTASH_REDIS_REST_URL": "https://evil.example",
    "OTEL_EXPORTER_OTLP_HEADERS": "api-key=planted-token",
    "OTEL_EXPORTER_OTLP_TRACES_HEADERS": "api-key=planted-token",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "https://evil.example",
}


def env_file(folder: Path, *names: str) -> Path:
    file = folder / ".env"
    file.write_text("".join(f"{name}={VALUES[name.upper()]}\n" for name in names))
    return file


@pytest.mark.parametrize(("secret", "address"), PAIRS.items())
def test_a_secret_of_the_environment_is_not_sent_where_a_file_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, secret: str, address: str
) -> None:
    monkeypatch.setenv(secret, VALUES[secret])
    for names in ((address,), (address.lower(),), (secret, address)):
        with pytest.raises(SettingsError) as refused:
            load_settings(env_file=env_file(tmp_path, *names))
        for word in (secret, address, str(tmp_path / ".env")):
            assert word in str(refused.value)
        assert "planted" not in str(refused.value)


@pytest.mark.parametrize(("secret", "address"), PAIRS.items())
def test_both_may_come_from_one_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, secret: str, address: str
) -> None:
    both = env_file(tmp_path, secret, address)
    assert stray_secrets(both) == []
    monkeypatch.setenv(address, "https://mine.example")
    assert stray_secrets(both) == []
    monkeypatch.setenv(secret, "mine")
    assert stray_secrets(both) == []
    monkeypatch.delenv(address)
    assert stray_secrets(env_file(tmp_path, secret)) == []
    assert stray_secrets(tmp_path / "none") == []
    assert stray_secrets(None) == []


def test_what_a_file_decides_can_be_told(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("LONGTASK_PORT=1\nOPENAI_BASE_URL=http://localhost\nOTHER=x\nTASK_TTL=\n")
    assert settings_in_file(file) == ["LONGTASK_PORT", "OPENAI_BASE_URL"]


def test_a_misspelt_setting_is_told_with_the_nearest_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / ".env"
    file.write_text("LONGTASK_STREAM_SECERT=planted\nOTHER=x\nLONGTASK_PORT=1\n")
    for name in ("longtask_limit", "LONGTASK_QQQ", "LONGTASK_KEY"):
        monkeypatch.setenv(name, "planted")
    for name in ("LONGTASK_PORT_8000_TCP", "LONGTASK_SERVICE_HOST", "LONGTASK_WEB_SERVICE_PORT"):
        monkeypatch.setenv(name, "tcp://10.0.0.1:8000")  # Kubernetes
    assert unknown_settings(file) == [
        "LONGTASK_LIMIT is not a setting and has no effect: is LONGTASK_LIMITS meant?",
        "LONGTASK_QQQ is not a setting and has no effect",
        "LONGTASK_STREAM_SECERT is not a setting and has no effect: "
        "is LONGTASK_STREAM_SECRET meant?",
    ]


def test_what_follows_a_name_is_not_told(tmp_path: Path) -> None:
    """As in YAML; the secret is in base64, so it has a `=` of its own."""
    file = tmp_path / ".env"
    file.write_text("LONGTASK_STREAM_SECRET:cGxhbnRlZA==\nLONGTASK_é=1\n")
    assert unknown_settings(file) == [
        f"{shown}... is no name of a setting and has no effect: is = missing behind it?"
        for shown in ("LONGTASK_STREAM_SECRET", "LONGTASK_")
    ]
