"""Which tokens and signing keys are public, and where the settings refuse them."""

from typing import Any

import pytest

from adapters.qstash import (
    DEVELOPMENT,
    QueueCredentials,
    is_development_key,
    is_development_token,
)
from adapters.qstash.credentials import DEVELOPMENT_USERS
from entrypoints.api_keys import new_key
from entrypoints.settings import Settings, SettingsError, load_settings

SECRET = "a secret of forty characters, or even more"
OWNERS = {"api_keys": new_key("alice")[1], "stream_secret": SECRET}
OWN = QueueCredentials("token", "sig_own_1", "sig_own_2")
OBSOLETE = ("sig_7RvLjqfZBvP5KEUimQCE1pvpLuou", "sig_7W3ZNbfKWk5NWwEs3U4ixuQ7fxwE")

EXPOSED = [
    OWNERS,
    {"host": "0.0.0.0", "allow_anonymous": True},  # noqa: S104
    {"host": "::", **OWNERS},
    # Behind a proxy or a tunnel on the same machine.
    {"base_url": "https://longtask.example.org"},
    {"trusted_proxies": "127.0.0.1"},
    {"allowed_hosts": "longtask.example.org"},
]


def _settings(credentials: QueueCredentials, **given: Any) -> Settings:
    return load_settings(
        env_file=None,
        **{
            "qstash_token": credentials.token,
            "qstash_current_signing_key": credentials.current_key,
            "qstash_next_signing_key": credentials.next_key,
            "base_url": "http://127.0.0.1:8000",
            **given,
        },
    )


def test_every_user_of_the_development_server_is_known() -> None:
    for user in DEVELOPMENT_USERS.values():
        assert is_development_token(user.token)
        assert is_development_key(user.current_key)
        assert is_development_key(user.next_key)
    assert len({user.token for user in DEVELOPMENT_USERS.values()}) == 4
    assert all(map(is_development_key, OBSOLETE))


def test_others_are_not() -> None:
    for each in (OWN, QueueCredentials.random(), QueueCredentials("", "", "")):
        assert not is_development_token(each.token)
        assert not is_development_key(each.current_key)
        assert not is_development_key(each.next_key)


@pytest.mark.parametrize("given", EXPOSED)
@pytest.mark.parametrize(
    ("public", "named"),
    [
        *((user, "QSTASH_TOKEN") for user in DEVELOPMENT_USERS.values()),
        *(
            (QueueCredentials("own", user.current_key, "own"), "QSTASH_CURRENT_SIGNING_KEY")
            for user in DEVELOPMENT_USERS.values()
        ),
        (QueueCredentials("own", "own", DEVELOPMENT.next_key), "QSTASH_NEXT_SIGNING_KEY"),
        (QueueCredentials("own", OBSOLETE[0], "own"), "QSTASH_CURRENT_SIGNING_KEY"),
        (QueueCredentials("own", "own", OBSOLETE[1]), "QSTASH_NEXT_SIGNING_KEY"),
        (QueueCredentials(DEVELOPMENT.token.rstrip("="), "own", "own"), "QSTASH_TOKEN"),
    ],
)
def test_public_ones_are_refused_where_others_reach_the_service(
    given: dict[str, Any], public: QueueCredentials, named: str
) -> None:
    with pytest.raises(SettingsError) as refused:
        _settings(public, **given)
    assert named in str(refused.value)
    assert "LONGTASK_ALLOW_DEVELOPMENT_KEYS" in str(refused.value)
    for secret in (public.token, public.current_key, public.next_key):
        assert secret == "own" or secret not in str(refused.value)


@pytest.mark.parametrize("given", EXPOSED)
def test_a_development_stack_may_use_them(given: dict[str, Any]) -> None:
    settings = _settings(DEVELOPMENT, **given, allow_development_keys=True)
    assert not settings.refuses_development_keys
    assert settings.queue.credentials() == DEVELOPMENT


@pytest.mark.parametrize("given", EXPOSED)
def test_other_keys_are_taken_anywhere(given: dict[str, Any]) -> None:
    settings = _settings(OWN, **given)
    assert settings.refuses_development_keys, "should the queue turn out to sign with public ones"
    assert settings.trusts_callers == settings.access.requires_keys
    assert settings.queue.credentials() == OWN


def test_on_ones_own_machine_they_are_taken() -> None:
    assert _settings(DEVELOPMENT).queue.credentials() == DEVELOPMENT
    assert _settings(DEVELOPMENT, base_url="http://localhost:1").queue.credentials() == DEVELOPMENT
    assert _settings(DEVELOPMENT, allowed_hosts="localhost").queue.credentials() == DEVELOPMENT


@pytest.mark.parametrize("given", [{}, OWNERS])
def test_an_embedded_queue_gets_others_with_each_start(given: dict[str, Any]) -> None:
    settings = load_settings(env_file=None, **given)
    made = [settings.queue.credentials() for _ in range(2)]
    secrets = {secret for each in made for secret in (each.token, each.current_key, each.next_key)}
    assert len(secrets) == 6
    assert all(len(secret) >= 43 for secret in secrets)


def test_no_secret_is_in_a_representation() -> None:
    assert repr(DEVELOPMENT) == "QueueCredentials()"
    assert str(DEVELOPMENT) == "QueueCredentials()"
