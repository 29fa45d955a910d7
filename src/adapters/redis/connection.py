"""What the store asks of a Redis, whatever the way to it: commands, scripts, and listening.

Ways: server.py (redis-py: one server, Sentinel, Cluster) and rest.py (Upstash's HTTPS API). Each
tells of every fault as StoreUnavailable, in words that say what to do and hold no secret.
"""

import hashlib
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Protocol

from application.errors import StoreUnavailable

Word = str | bytes | int


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
    StoreUnavailable, and then none of them stands any more."""

    async def subscribe(self, channels: Iterable[str]) -> None:
        """Ask for channels; each is confirmed in `messages`."""
        ...

    async def unsubscribe(self, channels: Iterable[str]) -> None: ...

    def messages(self) -> AsyncIterator[Confirmed | Published]:
        """What arrives, without end. A channel confirmed a second time had a hole in between."""
        ...

    async def aclose(self) -> None: ...


class Connection(Protocol):
    publish: str
    """The command that publishes: PUBLISH, or SPUBLISH where channels belong to slots."""

    async def call(self, *words: Word) -> Any:
        """One command, its answer with texts as bytes. Raises UnknownScript or
        StoreUnavailable. Never repeats a command by itself."""
        ...

    async def call_along(self, *words: Word) -> Any:
        """The same for a command whose answer is short: where that saves something, those made at
        the same time go in one round trip."""
        ...

    async def listen(self) -> Listener: ...

    async def aclose(self) -> None: ...


class UnknownScript(Exception):
    """Raised when a script was called by its hash and the server does not know it."""


class Script:
    """One of scripts/*.lua: called by its hash, and sent whole where the server does not know it
    (yet, or any more)."""

    def __init__(self, connection: Connection, name: str, *, long: bool = False) -> None:
        """`long`: whether its answer may be."""
        folder = files("adapters.redis").joinpath("scripts")
        parts = [folder.joinpath(f"{each}.lua").read_text() for each in ("shared", name)]
        self._source = "\n".join([f"local publish = '{connection.publish}'", *parts])
        self._hash = hashlib.sha1(self._source.encode(), usedforsecurity=False).hexdigest()
        self._call = connection.call if long else connection.call_along

    async def __call__(self, keys: list[str], args: Iterable[Word] = ()) -> Any:
        words = (len(keys), *keys, *args)
        try:
            return await self._call("EVALSHA", self._hash, *words)
        except UnknownScript:
            return await self._call("EVAL", self._source, *words)


_MEANINGS = {
    "NOAUTH": "Redis wants a password",
    "WRONGPASS": "Redis refuses the user name or password",
    "Unauthorized": "Redis's REST API refuses the token",
    "NOPERM": "Redis does not permit this user what the service needs",
    "READONLY": "Redis is a read-only replica",
    "OOM": "Redis has reached its maxmemory",
    "LOADING": "Redis is still loading its data",
    "MISCONF": "Redis cannot write to its disk",
    "CLUSTERDOWN": "The Redis cluster is down",
}


def fault(answer: str) -> StoreUnavailable:
    """An error answer of a server, that begins with its code."""
    meaning = _MEANINGS.get(answer.partition(" ")[0], "Redis answered with an error")
    return StoreUnavailable(meaning, answer[:200])  # Redis gives advice at length
