"""The port of the stores of messages, memory_store.py and file_store.py. A store decides nothing:
it keeps what the deliveries have decided, each step as a whole."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

from entrypoints.local_qstash.bounds import size_of
from entrypoints.local_qstash.dead_letters import DeadLetter
from entrypoints.local_qstash.filters import Search
from entrypoints.local_qstash.message import FlowControl, QueuedMessage
from entrypoints.local_qstash.records import Changes
from entrypoints.local_qstash.slots import Period

TASKLESS_LABELS = ("longtask-webhook", "longtask-guard")
"""The labels of the service's messages that work on no task: announcements of webhooks and guards
(adapters/qstash/queue.py)."""


@dataclass(slots=True, kw_only=True)
class Pending:
    """As much of a message that is not yet delivered as is always in memory: what decides when it
    is delivered."""

    id: str
    queue: str | None
    flow: FlowControl | None
    created_at: int
    not_before: int
    retried: int
    size: int
    """Bytes, by the bounds."""
    callback: bool
    """Whether it reports another message. One that asks for no failure callback counts as one, and
    so do announcements and guards: none of them waits until a task has ended."""
    resumed: bool = False
    """Whether the process that accepted it has ended, and it was not delivered since."""
    interruptions: int = 0
    """How many processes in a row have resumed it and ended before its delivery did."""

    @classmethod
    def of(cls, message: QueuedMessage) -> Self:
        return cls(
            id=message.id,
            queue=message.queue,
            flow=message.flow,
            created_at=message.created_at,
            not_before=message.not_before,
            retried=message.retried,
            size=size_of(message),
            callback=message.failure_callback is None or message.label in TASKLESS_LABELS,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one delivery leads to. The message has ended unless it is delivered `again_at`."""

    message_id: str
    again_at: int | None = None
    """Milliseconds since the Unix epoch."""
    callback: QueuedMessage | None = None
    letter: DeadLetter | None = None
    failure: QueuedMessage | None = None
    """The callback that tells that the message was given up."""


class DeadLetterStore(Protocol):
    """Its limits hold at any time: beyond them the oldest are dropped."""

    async def page(self, search: Search) -> tuple[list[DeadLetter], str | None]:
        """Return a page of them, newest first, and the cursor of the next one (`page_of`)."""

    async def ids(self, search: Search) -> tuple[list[str], str | None]:
        """Return their ids only."""

    async def get(self, dlq_id: str) -> DeadLetter | None: ...

    async def delete(self, dlq_ids: Iterable[str]) -> int:
        """Delete these; return how many of them there were."""


class Store(Protocol):
    """Made with two functions: `begin(messages)` is called for messages once they are kept, in the
    order in which they are kept, and `cancelled(messages)` once these are no longer kept; they may
    be without their bodies.

    Every method raises Unavailable, and has then changed nothing."""

    @property
    def dead_letters(self) -> DeadLetterStore: ...

    async def publish(
        self, messages: Sequence[QueuedMessage], now: float, changes: Changes | None = None
    ) -> list[str]:
        """Keep the messages. Returns the id of each, or if it is a duplicate that of the earlier
        one, and then it is not kept. `changes` are kept in the same step, unless one of the
        messages is a duplicate."""

    async def known(self, names: Sequence[str], now: float) -> Mapping[str, str]:
        """Return the ids of the messages that these names of deduplications stand for."""

    async def get(self, message_id: str) -> QueuedMessage | None: ...

    async def oldest(self, count: int) -> list[QueuedMessage]:
        """Return so many messages, in the order of their publishes, without their bodies."""

    async def note_resumed(self, message_id: str) -> None:
        """Note that a message of an earlier process is about to be delivered. If this process ends
        before the delivery does, that is an interruption."""

    async def reset_interruptions(self, message_ids: Sequence[str]) -> None:
        """Count the interruptions of these messages from 0 again: the processes which ended during
        their deliveries did not end by them."""

    async def note_period(self, period: Period) -> None:
        """Note how many have begun in a period of a rate, which a new process goes on with."""

    async def commit(self, outcome: Outcome, now: float) -> bool:
        """Keep what a delivery has led to, in one step. Returns whether the message was still kept.
        If not, it was cancelled, and only `callback` is kept."""

    async def search(self, search: Search) -> list[str]:
        """Return the ids of the messages that match, oldest first."""

    async def cancel(self, message_ids: Sequence[str]) -> int:
        """Keep these messages no longer; return how many of them there were."""

    async def retry(self, pairs: Sequence[tuple[str, QueuedMessage]], now: float) -> list[str]:
        """Replace dead letters by messages, in one step. Returns their ids. Raises NotThere if a
        letter is not there, and has then changed nothing."""

    async def sweep(self, now: float) -> None:
        """Forget what is old."""
