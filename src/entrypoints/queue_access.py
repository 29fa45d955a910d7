"""Which token and signing keys the service uses with its queue, and where public ones are refused.

Those of QStash's development server are the same everywhere. On one's own machine that does no
harm; where others reach the service, any of them could sign a delivery.
"""

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from adapters.qstash import QueueCredentials, is_development_key, is_development_token
from entrypoints.host_names import is_loopback

if TYPE_CHECKING:
    from pydantic import SecretStr

    from entrypoints.settings import Settings

ALLOW = "LONGTASK_ALLOW_DEVELOPMENT_KEYS=true"


def credentials_of(settings: "Settings") -> QueueCredentials:
    """Those of the settings. For an embedded queue random ones, others with each call: the process
    that starts the queue makes them, and hands them to those that use it."""
    if settings.embedded_qstash:
        return QueueCredentials.random()
    return QueueCredentials(
        _text(settings.qstash_token),
        _text(settings.qstash_current_signing_key),
        _text(settings.qstash_next_signing_key),
    )


def refuses_development_keys(settings: "Settings") -> bool:
    """Whether deliveries signed with a public key must not be accepted: others than this machine's
    users reach the service, directly or through a proxy or a tunnel, or it has several owners."""
    base_host = _hostname(settings.base_url)
    on_loopback = (
        is_loopback(settings.host)
        and (base_host is None or is_loopback(base_host))
        and not settings.proxies
    )
    others = settings.api_keys is not None or not on_loopback
    return others and not settings.allow_development_keys


def public_settings(settings: "Settings") -> list[str]:
    """The variables that hold a token or a key of QStash's development server."""
    token = is_development_token(_text(settings.qstash_token))
    keys = {
        "QSTASH_CURRENT_SIGNING_KEY": settings.qstash_current_signing_key,
        "QSTASH_NEXT_SIGNING_KEY": settings.qstash_next_signing_key,
    }
    return [
        *(["QSTASH_TOKEN"] if token else []),
        *(name for name, key in keys.items() if is_development_key(_text(key))),
    ]


def development_key_faults(settings: "Settings") -> list[str]:
    """What is wrong with the settings, if public keys are set where they are refused."""
    public = public_settings(settings)
    if not public or not refuses_development_keys(settings):
        return []
    return [
        f"{', '.join(public)}: from QStash's development server, which are public. With them, "
        "any client could run any task. Take your own from QStash's console, or leave "
        f"all three out for a queue inside the service, or say {ALLOW} for a development stack"
    ]


def _text(secret: "SecretStr | None") -> str:
    return "" if secret is None else secret.get_secret_value()


def _hostname(url: str | None) -> str | None:
    try:
        return urlsplit(url or "").hostname
    except ValueError:
        return None  # a fault of its own
