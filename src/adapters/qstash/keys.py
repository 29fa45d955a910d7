"""The keys that QStash signs deliveries with: those of the settings, or else what QStash says."""

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import Literal

import structlog

from application.errors import QueueRefused, QueueUnavailable

log = structlog.get_logger(__name__)

ASK_PAUSE = 10.0
"""Seconds from one question to the next. A forger's deliveries lead to questions, too."""

KeysState = Literal["ok", "unknown", "refused"]


class KeysUnknown(Exception):
    """Raised while no delivery can be judged. It may be delivered again after `retry_after`
    seconds."""

    retry_after = ASK_PAUSE


class SigningKeys:
    def __init__(
        self,
        ask: Callable[[], Awaitable[tuple[str, str]]],
        given: tuple[str, str] | None = None,
        refused: Callable[[str], bool] = lambda key: False,
    ) -> None:
        """`ask` returns the queue's current and next key, or raises QueueUnavailable or
        QueueRefused. Keys that are `given` hold whatever the queue says. One that is `refused`
        makes what the queue said count for nothing."""
        self._ask = ask
        self._given = given is not None
        self._refused = refused
        self._asked_at: float | None = None
        self._asking: asyncio.Task[bool] | None = None
        self.known: tuple[str, ...] = given or ()
        """The current key and the next one, or nothing."""
        self.state: KeysState = "ok" if self._given else "unknown"

    async def learn(self) -> None:
        """Return once the keys are known, asking as often as may be."""
        while not self.known:
            await self.ask()
            if not self.known:
                await asyncio.sleep(ASK_PAUSE)

    async def renew(self) -> bool:
        """Ask for other keys than those that are known, as `ask` does. Keys that were given are
        not asked for. Returns whether there are others now."""
        before = self.known
        return not self._given and await self.ask() and self.known != before

    async def ask(self) -> bool:
        """Ask the queue, whose clock is measured by that, too. Returns whether it responded.
        Within ASK_PAUSE of the last question it is not asked; callers at the same time share one
        question, and each may leave without ending it."""
        if self._asking is None:
            now = asyncio.get_running_loop().time()
            if self._asked_at is not None and now - self._asked_at < ASK_PAUSE:
                return False
            self._asked_at = now
            self._asking = asyncio.create_task(self._question(), context=Context())
        return await asyncio.shield(self._asking)

    async def _question(self) -> bool:
        try:
            keys = await self._ask()
        except (QueueUnavailable, QueueRefused) as error:
            log.warning("signing keys not told", error=str(error))
            return False
        finally:
            self._asking = None
        if not self._given:
            self._take(keys)
        return True

    def _take(self, keys: tuple[str, str]) -> None:
        if any(map(self._refused, keys)):
            log.error(
                "signing keys refused: the queue signs with a key that is not accepted here, such "
                "as one that is public, so that no delivery can be told from a forged one"
            )
            self.known, self.state = (), "refused"
        elif keys != self.known:
            log.info("signing keys learnt")
            self.known, self.state = keys, "ok"
