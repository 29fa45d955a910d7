"""What the store needs of a connection to Redis: commands, and a listener to channels.

Each way to a Redis is a module of its own: server.py (one server, or the master that Sentinel
names), cluster.py, and rest.py (Upstash's HTTPS API). Each raises every fault as StoreUnavailable,
in words that say what to do and hold no secret.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

Word = str | bytes | int
PROBE = b""
"""What a connection may publish on a channel to see whether it arrives (rest.py). It reaches every
process that listens to the channel."""


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The server has begun to deliver a channel to us, or has begun anew."""

    channel: str


@dataclass(frozen=True, slots=True)
class Published:
    channel: str
    data: bytes


class Listener(Protocol):
    """One process's subscriptions, of which there may be any number. Every method may raise
    StoreUnavailable, after which all subscriptions are lost."""

    async def subscribe(self, channels: Iterable[str]) -> None:
        """Ask for channels; each is confirmed in `messages`."""
        ...

    async def unsubscribe(self, channels: Iterable[str]) -> None: ...

    def messages(self) -> AsyncIterator[Confirmed | Published]:
        """Yield what arrives, without end. What was published before a channel is confirmed a
        second time may be missing."""
        ...

    async def aclose(self) -> None: ...


class Connection(Protocol):
    publish: str
    """The command that publishes: PUBLISH, or SPUBLISH where channels belong to slots."""

    async def call(self, *words: Word) -> Any:
        """Send one command; return its response, with texts as bytes. Raises UnknownScript or
        StoreUnavailable. Never repeats a command by itself."""
        ...

    async def call_batched(self, *words: Word) -> Any:
        """Do the same for a command whose response is short. Where that saves something, those
        called at the same time share one round trip."""
        ...

    async def pipeline(self, commands: Sequence[Sequence[Word]]) -> list[Any]:
        """Send independent commands in few round trips; return their responses. Raises
        StoreUnavailable if one fails."""
        ...

    async def listen(self) -> Listener:
        """Return a listener without subscriptions. Raises StoreUnavailable."""
        ...

    async def aclose(self) -> None: ...
