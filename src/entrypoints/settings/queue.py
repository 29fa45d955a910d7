"""The queue: Upstash QStash, or a local one inside the service."""

from typing import Annotated, ClassVar

from pydantic import SecretStr

from adapters.qstash import (
    MESSAGE_LIMIT,
    QueueCredentials,
    RetryDelay,
    is_development_key,
    is_development_token,
)
from entrypoints.settings.group import Group, http_url, parsed, secret_word, setting

UPSTASH_URL = "https://qstash.upstash.io"


class QueueSettings(Group):
    title: ClassVar[str] = "The queue"

    qstash_token: Annotated[SecretStr | None, parsed(secret_word)] = setting(
        "QSTASH_TOKEN",
        None,
        "The token of your QStash. Without it a local QStash runs inside the service.",
    )
    qstash_current_signing_key: Annotated[SecretStr | None, parsed(secret_word)] = setting(
        "QSTASH_CURRENT_SIGNING_KEY",
        None,
        "The key that QStash signs deliveries with.",
        otherwise="both signing keys are fetched from QStash",
    )
    qstash_next_signing_key: Annotated[SecretStr | None, parsed(secret_word)] = setting(
        "QSTASH_NEXT_SIGNING_KEY",
        None,
        "The key that QStash will sign with after a rotation. Set both keys or neither.",
    )
    qstash_url: Annotated[str, parsed(http_url)] = setting(
        "QSTASH_URL", UPSTASH_URL, "The URL of QStash, which depends on your region."
    )
    allow_development_keys: bool = setting(
        "LONGTASK_ALLOW_DEVELOPMENT_KEYS",
        False,
        "`true` allows the token and signing keys of QStash's development server although others "
        "can reach the service. These keys are public: anyone who knows them can run any task.",
    )
    qstash_retries: int = setting(
        "LONGTASK_QSTASH_RETRIES",
        3,
        "How many more deliveries QStash makes after the first one of a task failed.",
        unit="deliveries",
        ge=0,
        le=20,
    )
    qstash_retry_delay: Annotated[RetryDelay, parsed(RetryDelay.parse)] = setting(
        "LONGTASK_QSTASH_RETRY_DELAY",
        RetryDelay("min(100000, 1000 * pow(10, retried))"),
        "The pause before a retry: a formula of `retried`, the number of earlier retries, as "
        "QStash documents it.",
        unit="milliseconds",
    )
    qstash_timeout: float = setting(
        "LONGTASK_QSTASH_TIMEOUT",
        10.0,
        "How long to wait for QStash to respond to a call.",
        unit="seconds",
        gt=0,
    )
    qstash_redact_bodies: bool = setting(
        "LONGTASK_QSTASH_REDACT_BODIES",
        False,
        "`true` makes QStash's console and API show a hash in place of the prompts in queued "
        "messages, failure callbacks and dead letters. What is delivered stays the same.",
    )
    delivery_timeout: float | None = setting(
        "LONGTASK_DELIVERY_TIMEOUT",
        None,
        "After how long QStash delivers a task again although it is still running. The second "
        "delivery waits, and takes over if the first worker hangs.",
        unit="seconds",
        otherwise="the longest that your QStash plan allows",
        ge=1,
    )
    max_message_bytes: int = setting(
        "LONGTASK_MAX_MESSAGE_BYTES",
        MESSAGE_LIMIT,
        "The longest message that is published with its request. For a longer one the request is "
        "in the store only: if the store loses it, the task fails as `input_lost`. QStash accepts "
        "1 MB in its smallest plan, and a failure callback holds the message in base64, a third "
        "longer.",
        unit="bytes",
        ge=1024,
        le=8 * 1024 * 1024,
    )
    older_messages_owner: str | None = setting(
        "LONGTASK_OLDER_MESSAGES_OWNER",
        None,
        "The name of the API key that owns the tasks which the older system had queued at the "
        "switch-over. Without it, and with `LONGTASK_API_KEYS`, messages of the older system are "
        "refused.",
    )
    local_qstash_port: int = setting(
        "LONGTASK_LOCAL_QSTASH_PORT",
        0,
        "The port of the local QStash, on loopback. 0 picks a free one.",
        ge=0,
        le=65535,
    )

    @property
    def embedded(self) -> bool:
        """Whether a local QStash runs inside the service."""
        return self.qstash_token is None

    def credentials(self) -> QueueCredentials:
        """Return the token and keys that were set. For a local QStash inside the service they are
        random and differ with each call: the process that starts it passes them on to the workers.
        """
        if self.embedded:
            return QueueCredentials.random()
        return QueueCredentials(
            _text(self.qstash_token),
            _text(self.qstash_current_signing_key),
            _text(self.qstash_next_signing_key),
        )

    def public_credentials(self) -> list[str]:
        """The settings that hold a token or a key of QStash's development server, by name."""
        public = {
            "QSTASH_TOKEN": is_development_token(_text(self.qstash_token)),
            "QSTASH_CURRENT_SIGNING_KEY": is_development_key(
                _text(self.qstash_current_signing_key)
            ),
            "QSTASH_NEXT_SIGNING_KEY": is_development_key(_text(self.qstash_next_signing_key)),
        }
        return [name for name, is_public in public.items() if is_public]


def _text(secret: SecretStr | None) -> str:
    return "" if secret is None else secret.get_secret_value()
