"""What a record says of the webhooks of its task.

A task may have two: its own, for which its request asks, and the service's.
"""

from dataclasses import dataclass, replace
from enum import StrEnum


class WebhookStatus(StrEnum):
    PENDING = "pending"
    DELIVERED = "delivered"
    """The receiver has answered with 2xx."""
    FAILED = "failed"
    """It has not, for as long as it is told; after no attempt at all if none could be made."""


@dataclass(frozen=True, slots=True)
class Published:
    """The queue has the message."""


@dataclass(frozen=True, slots=True)
class Tried:
    """The receiver was called."""

    http_status: int | None
    """That of its response. None: there was none."""

    @property
    def delivered(self) -> bool:
        return self.http_status is not None and 200 <= self.http_status < 300


@dataclass(frozen=True, slots=True)
class GivenUp:
    """The receiver is called no more."""


Note = Published | Tried | GivenUp


@dataclass(frozen=True, slots=True)
class Webhook:
    url: str
    service: bool = False
    """Whether it is the service's, which its client is not told of."""
    status: WebhookStatus = WebhookStatus.PENDING
    published: bool = False
    """Whether the queue has had the message, once the task has ended."""
    attempts: int = 0
    last_status: int | None = None
    """The HTTP status of the last response. None: the last attempt got none."""

    @property
    def settled(self) -> bool:
        """Whether the receiver is called no more."""
        return self.status is not WebhookStatus.PENDING

    def noted(self, note: Note) -> "Webhook":
        """Return it as it is after that. One that was delivered stays so."""
        match note:
            case Published():
                return replace(self, published=True)
            case GivenUp():
                return replace(self, status=self._unless_delivered(WebhookStatus.FAILED))
            case Tried(http_status):
                status = WebhookStatus.DELIVERED if note.delivered else self.status
                return replace(
                    self,
                    status=self._unless_delivered(status),
                    published=True,
                    attempts=self.attempts + 1,
                    last_status=http_status,
                )

    def _unless_delivered(self, status: WebhookStatus) -> WebhookStatus:
        return self.status if self.status is WebhookStatus.DELIVERED else status
