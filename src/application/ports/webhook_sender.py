"""The port that tells a receiver of the world outside that a task has ended."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class WebhookSecret:
    """The bytes with which a receiver recognizes what this service sends. They are never shown."""

    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class WebhookMessage:
    """What a receiver is told. Sent again, it keeps its id, so that a receiver knows a repeat."""

    id: str
    """Letters, digits, `_` and `-`."""
    timestamp: int
    """When it is sent, in seconds since the Unix epoch. A receiver refuses what is older than some
    minutes, so each sending has its own."""
    body: bytes
    """JSON in UTF-8."""


class WebhookSender(Protocol):
    async def send(
        self,
        url: str,
        message: WebhookMessage,
        secrets: Sequence[WebhookSecret],
        owner: str | None = None,
    ) -> int:
        """Post the message, signed with each of the secrets, and return the status of the response.
        No redirect is followed, and the body of the response is not looked at. `owner`: who has
        named the URL, and may fill only a share of what is sent at once; None: no caller with a
        name.

        Raises WebhookRefused if the target is none that this service may call (it is looked at
        anew with each sending, since a name may resolve to another address later);
        WebhookUnreachable if there was no response in time (the receiver may or may not have the
        message); TooManyWebhooks if this process sends its maximum at once, or the owner's share of
        it, in which case nothing was sent. It returns or raises within some seconds, which the
        adapter states."""
        ...
