"""Settings: what is chosen by which, and every fault at once. (The command line is tested end to
end.)"""

import re
from pathlib import Path

import pytest

from application.accounts import Limits
from domain.options import REFUSED_OPTIONS
from entrypoints.api_keys import new_key
from entrypoints.choices import orphan_timeout
from entrypoints.settings import SettingsError, load_settings
from entrypoints.settings.reference import describe

QSTASH = {
    "qstash_token": "t",
    "qstash_current_signing_key": "a",
    "qstash_next_signing_key": "b",
    "base_url": "https://example.org/",
}


def test_nothing_set_is_the_embedded_default() -> None:
    settings = load_settings(env_file=None)
    assert settings.queue.embedded
    assert settings.model.demo
    assert settings.development
    assert settings.console_logs
    assert settings.service.host == "127.0.0.1"


def test_a_queue_makes_it_production() -> None:
    settings = load_settings(env_file=None, **QSTASH)
    assert not settings.queue.embedded
    assert settings.environment == "production"
    assert not settings.console_logs
    assert settings.service.base_url == "https://example.org"
    assert load_settings(env_file=None, **QSTASH, env="development").development


def test_a_service_that_is_away_for_a_while_is_waited_for() -> None:
    """By default: soon at first, since somebody watches, and for long enough to be started anew."""
    settings = load_settings(env_file=None)
    pauses = [
        settings.queue.qstash_retry_delay.seconds(retried)
        for retried in range(settings.queue.qstash_retries)
    ]
    assert pauses[0] <= 1.0
    assert sum(pauses) >= 60.0


@pytest.mark.parametrize("name", ["openai_api_key", "openai_base_url"])
def test_a_key_or_an_address_makes_it_a_real_model(name: str) -> None:
    assert not load_settings(env_file=None, **{name: "http://localhost:11434/v1"}).model.demo


def test_the_environment_wins_over_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / ".env"
    file.write_text("LONGTASK_PORT=1111\nLONGTASK_LEASE=5\nOPENAI_API_KEY=\n")
    monkeypatch.setenv("LONGTASK_PORT", "2222")
    settings = load_settings(env_file=file)
    assert (
        settings.service.port,
        settings.tasks.lease,
        settings.model.openai_api_key,
    ) == (2222, 5.0, None)


def test_the_fault_of_a_setting_with_two_names_names_both(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEXT_PUBLIC_BASE_URL", "planted")
    with pytest.raises(SettingsError, match="- BASE_URL or NEXT_PUBLIC_BASE_URL: must be"):
        load_settings(env_file=None)


def test_the_owner_of_older_messages_must_have_a_key() -> None:
    _, entry = new_key("alice")
    keys = {"api_keys": entry, "stream_secret": "x" * 32}
    load_settings(env_file=None, older_messages_owner="alice", **keys)
    for wrong in ({"older_messages_owner": "bob", **keys}, {"older_messages_owner": "alice"}):
        with pytest.raises(SettingsError, match="is not a name of LONGTASK_API_KEYS") as refused:
            load_settings(env_file=None, **wrong)
        assert wrong["older_messages_owner"] not in str(refused.value)  # it may be a key


def test_refused_options_are_names_or_none() -> None:
    def refused(text: str) -> tuple[str, ...]:
        return load_settings(env_file=None, refused_options=text).model.refused_options

    assert refused("top_k, x-*") == ("top_k", "x-*")
    assert refused("none") == ()
    assert load_settings(env_file=None).model.refused_options == REFUSED_OPTIONS
    with pytest.raises(SettingsError, match="LONGTASK_REFUSED_OPTIONS") as error:
        refused("a*b,*c,d")
    assert "'a*b'" in str(error.value)
    assert "'*c'" in str(error.value)


def test_every_fault_is_told() -> None:
    with pytest.raises(SettingsError) as refused:
        load_settings(env_file=None, port=70_000, lease=0, demo_speed=-1)
    for name in ("LONGTASK_PORT", "LONGTASK_LEASE", "LONGTASK_DEMO_SPEED"):
        assert name in str(refused.value)
    with pytest.raises(SettingsError) as refused:
        load_settings(
            env_file=None,
            qstash_current_signing_key="a",
            qstash_url="http://localhost:8080",
            base_url="example.org",
            openai_base_url="http://[",
            redis_url="localhost:6379",
        )
    for line in (
        "QSTASH_CURRENT_SIGNING_KEY is set but QSTASH_TOKEN is not",
        "QSTASH_URL is set but QSTASH_TOKEN is not",
        "BASE_URL: must be",
        "OPENAI_BASE_URL: must be",
        "REDIS_URL: must be",
    ):
        assert line in str(refused.value)


def test_malformed_settings_and_contradictions_are_told_together() -> None:
    """And nothing is made of a malformed setting but its own fault."""
    with pytest.raises(SettingsError) as refused:
        load_settings(
            env_file=None,
            port=70_000,
            workers=2,
            api_keys=new_key("alice")[1],
            stream_secret="short",
            trusted_proxies="10.0.0.0/8,proxy,::/200",
        )
    told = [line.strip(" -").partition(":")[0] for line in str(refused.value).splitlines()]
    assert told == [
        "LONGTASK_PORT",
        "LONGTASK_STREAM_SECRET",
        "LONGTASK_TRUSTED_PROXIES",
        "LONGTASK_TRUSTED_PROXIES",
        "LONGTASK_WORKERS is 2, but without REDIS_URL one process holds all tasks",
    ]


def test_an_override_that_is_no_setting_is_refused() -> None:
    with pytest.raises(TypeError, match="prot"):
        load_settings(env_file=None, prot=1)


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"workers": 2}, "LONGTASK_WORKERS is 2, but without REDIS_URL"),
        (
            {"upstash_redis_rest_url": "https://h"},
            "UPSTASH_REDIS_REST_URL and UPSTASH_REDIS_REST_TOKEN go together",
        ),
        (
            {"redis_url": "redis://h", "upstash_redis_rest_token": "planted"},
            "REDIS_URL and UPSTASH_REDIS_REST_* exclude each other",
        ),
        (
            {"upstash_redis_rest_url": "redis://h", "upstash_redis_rest_token": "planted"},
            "UPSTASH_REDIS_REST_URL: must be an http",
        ),
    ],
)
def test_stores_that_contradict(given: dict[str, object], fault: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load_settings(env_file=None, **given)
    assert fault in str(refused.value)
    assert "planted" not in str(refused.value)


def test_no_secret_in_a_fault_or_a_description() -> None:
    with pytest.raises(SettingsError) as refused:
        load_settings(env_file=None, openai_api_key="planted", lease="planted-too")
    assert "planted" not in str(refused.value)
    settings = load_settings(env_file=None, **{**QSTASH, "qstash_token": "planted"})
    assert "planted" not in str(list(describe(settings)))
    assert "planted" not in repr(settings)


@pytest.mark.parametrize(
    ("kind", "url", "fault"),
    [
        ("vllm", None, "OPENAI_BASE_URL is not set"),
        ("deepseek", "https://api.deepseek.com", "https://api.deepseek.com/beta"),
        ("deepseek", "https://api.deepseek.com/beta/", None),
        ("deepseek", "http://proxy.example/v1", None),
        ("mistral", "https://api.mistral.ai/v1", None),
    ],
)
def test_prefill_needs_a_server_that_has_it(kind: str, url: str | None, fault: str | None) -> None:
    if fault is None:
        settings = load_settings(env_file=None, prefill=kind, openai_base_url=url)
        assert settings.model.continues_by_prefill
        return
    with pytest.raises(SettingsError, match=fault):
        load_settings(env_file=None, prefill=kind, openai_base_url=url)


def test_limits_and_lists_are_read_with_commas_or_spaces() -> None:
    settings = load_settings(
        env_file=None,
        address_limits=" starts=60, running=20 streams=1,",
        trusted_proxies="10.0.0.0/8 ::1",
        cors_origins="https://a.example,http://localhost:3000",
    )
    assert settings.access.address_limits == Limits(starts=60, running=20, streams=1)
    assert settings.access.limits == Limits()
    assert list(map(str, settings.access.trusted_proxies)) == ["10.0.0.0/8", "::1/128"]
    assert settings.access.cors_origins == ("https://a.example", "http://localhost:3000")


def test_a_task_is_not_forgotten_while_its_deliveries_may_hang() -> None:
    from_settings = [
        orphan_timeout(load_settings(env_file=None, delivery_timeout=timeout, qstash_retries=2))
        for timeout in (None, 600.0)
    ]
    assert from_settings[1] - from_settings[0] == 3 * 600.0


def test_a_task_is_not_forgotten_while_it_waits_in_a_queue_that_loses_nothing() -> None:
    redis = {"redis_url": "redis://localhost"}
    keys = {"qstash_current_signing_key": "a", "qstash_next_signing_key": "b"}
    hosted_queue = {"qstash_token": "t", "base_url": "https://a.example", **keys}
    kept, lost, hosted = (
        orphan_timeout(load_settings(env_file=None, **redis, **settings))
        for settings in ({"data": "q.db"}, {"data": "memory"}, hosted_queue)
    )
    assert kept - lost == 24 * 3600
    assert hosted == lost
    assert orphan_timeout(load_settings(env_file=None, data="memory")) == kept


def test_a_rule_between_settings_is_checked_although_one_of_them_is_malformed() -> None:
    """A malformed setting counts as set. What needs its value is not guessed."""
    with pytest.raises(SettingsError) as refused:
        load_settings(
            env_file=None,
            api_keys="alice:planted",
            redis_url="planted",
            upstash_redis_rest_url="https://h",
            qstash_url="planted",
            env="staging",
            host="0.0.0.0",  # noqa: S104
            workers=0,
        )
    told = [line.strip(" -") for line in str(refused.value).splitlines()]
    assert [re.split("[: ]", line)[0] for line in told] == [
        "LONGTASK_ENV",
        "LONGTASK_WORKERS",
        "LONGTASK_API_KEYS",
        "REDIS_URL",
        "QSTASH_URL",
        "REDIS_URL",
        "LONGTASK_STREAM_SECRET",
    ]
    assert "exclude each other" in told[-2]
    assert "planted" not in str(refused.value)
