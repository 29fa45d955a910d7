"""The keys that QStash signs deliveries with: those of the settings, or else those that QStash
names."""

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import Literal

import structlog

from application.errors import QueueRefused, QueueUnavailable

log = structlog.get_logger(__name__)

ASK_PAUSE = 10.0
"""Seconds between two requests for the keys. Forged deliveries lead to such requests, too."""

KeysState = Literal["ok", "unknown", "refused"]


class KeysUnknown(Exception):
    """Raised while no delivery can be verified. A retry may succeed after `retry_after` seconds."""

    retry_after = ASK_PAUSE


class SigningKeys:
    def __init__(
        self,
        ask: Callable[[], Awaitable[tuple[str, str]]],
        given: tuple[str, str] | None = None,
        refused: Callable[[str], bool] = lambda key: False,
    ) -> None:
        """`ask` returns the queue's current and next key, or raises QueueUnavailable or
        QueueRefused. Keys that are `given` are used whatever the queue says. If the queue names a
        key that `refused` is true of, none of its keys is used."""
        self._ask = ask
        self._given = given is not None
        self._refused = refused
        self._asked_at: float | None = None
        self._asking: asyncio.Task[bool] | None = None
        self.known: tuple[str, ...] = given or ()
        """The current key and the next one, or nothing."""
        self.state: KeysState = "ok" if self._given else "unknown"

    async def learn(self) -> None:
        """Return once the keys are known, asking every ASK_PAUSE seconds."""
        while not self.known:
            await self.ask()
            if not self.known:
                await asyncio.sleep(ASK_PAUSE)

    async def renew(self) -> bool:
        """Ask for the keys again, as `ask` does, unless they were given. Returns whether they have
        changed."""
        before = self.known
        return not self._given and await self.ask() and self.known != before

    async def ask(self) -> bool:
        """Ask the queue, which also measures its clock. Returns whether it responded: not if it was
        asked less than ASK_PAUSE seconds ago. Callers at the same time share one request, and each
        may be cancelled without ending it."""
        if self._asking is None:
            now = asyncio.get_running_loop().time()
            if self._asked_at is not None and now - self._asked_at < ASK_PAUSE:
                return False
            self._asked_at = now
            self._asking = asyncio.create_task(self._request_keys(), context=Context())
        return await asyncio.shield(self._asking)

    async def _request_keys(self) -> bool:
        try:
            keys = await self._ask()
        except (QueueUnavailable, QueueRefused) as error:
            log.warning("signing keys not learnt", error=str(error))
            return False
        finally:
            self._asking = None
        if not self._given:
            self._learn(keys)
        return True

    def _learn(self, keys: tuple[str, str]) -> None:
        if any(map(self._refused, keys)):
            log.error(
                "signing keys refused: the queue signs with a key that is not accepted here, such "
                "as a public one, so that deliveries cannot be told from forged ones"
            )
            self.known, self.state = (), "refused"
        elif keys != self.known:
            log.info("signing keys learnt")
            self.known, self.state = keys, "ok"
