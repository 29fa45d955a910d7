"""Quotas: admit starts and streams by what the caller's accounts have used.

The slot of a running task is released by the process that ends the task (running_slots). Some
tasks end without that: their records expire, or the process dies in between. So a start that finds
all slots held checks a few of them, each time others, and releases those whose tasks have ended.
"""

import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import structlog

from application.accounts import Account, Accounts, Caller, slots_of
from application.errors import (
    DeletedTask,
    LimitStatus,
    OverLimit,
    StoreUnavailable,
    UnknownTask,
    UnreadableTask,
)
from application.held_slots import HeldSlots
from application.meter import Meter
from application.ports import Limiter, TaskLog
from application.reap import FailOrphanedTasks

log = structlog.get_logger(__name__)

MINUTE, DAY = 60.0, 86_400.0
RUNNING_TTL = 30 * DAY
"""Seconds for which the slot of a running task is held after it was last checked."""
START_TIMEOUT = 60.0
"""Seconds within which a start has created its record: later, a slot without one is free."""
STREAM_TTL = 60.0
"""Seconds after which the streams of a process that died no longer count."""
SLOT_RETRY_AFTER = 5.0
"""Seconds after which a caller without a free slot may try again."""
SLOTS_CHECKED = 2
"""Slots of running tasks that a start checks when all are held."""


@dataclass(slots=True)
class StreamSlot:
    """The slots of one stream in its accounts. They lapse unless the stream begins (`enter`)."""

    accounts: Sequence[str]
    owner: str | None = None
    holder: str = field(default_factory=lambda: secrets.token_hex(8))


class Quotas:
    def __init__(
        self,
        limiter: Limiter,
        tasks: TaskLog,
        fail_if_orphaned: FailOrphanedTasks,
        accounts: Accounts,
        meter: Meter,
    ) -> None:
        self._limiter = limiter
        self._tasks = tasks
        self._fail_if_orphaned = fail_if_orphaned
        self._accounts = accounts
        self._meter = meter
        self._streams = HeldSlots(limiter, STREAM_TTL, "streams")

    def accounts_of(self, caller: Caller) -> Sequence[Account]:
        """Return what the use of a caller is counted for."""
        return self._accounts.of(caller.owner, caller.address)

    async def tokens_left(self, caller: Caller) -> Sequence[LimitStatus]:
        """Return what is left of this day's tokens, for each account that has a limit of them.
        Raises StoreUnavailable."""
        limited = [
            (account, account.limits.tokens)
            for account in self.accounts_of(caller)
            if account.limits.tokens is not None
        ]
        return [await self._tokens_left(account, limit) for account, limit in limited]

    async def start(
        self, caller: Caller, task_id: str, *, delayed: bool = False
    ) -> Sequence[LimitStatus]:
        """Admit a new task; return what the caller then has left of its limits. `delayed`: whether
        it is not to begin yet (`slots_of`). Raises OverLimit or StoreUnavailable, and then no slot
        is held."""
        limit_statuses: list[LimitStatus] = []
        acquired: list[str] = []
        try:
            for account in self._accounts.of(caller.owner, caller.address):
                if (limit := account.limits.tokens) is not None:
                    limit_statuses.append(await self._require_tokens(account, limit))
                if (limit := account.limits.running) is not None:
                    await self._acquire_running(account, task_id, limit, slots_of(delayed))
                    acquired.append(account.of(slots_of(delayed)))
                if (limit := account.limits.starts) is not None:
                    limit_statuses.append(await self._consume(account, "starts", limit, MINUTE))
        except BaseException:
            for name in acquired:
                with suppress(StoreUnavailable):  # a later start finds and releases it
                    await self._limiter.release(name, task_id)
            raise
        return limit_statuses

    async def release(self, caller: Caller, task_id: str, *, delayed: bool = False) -> None:
        """Release the slots of a task that was admitted and is not created after all."""
        for account in self._accounts.of(caller.owner, caller.address):
            if account.limits.running is not None:
                with suppress(StoreUnavailable):  # a later start finds and releases it
                    await self._limiter.release(account.of(slots_of(delayed)), task_id)

    def origin(self, caller: Caller) -> str | None:
        """Return the caller's address if its record needs it, to count tokens for it and to release
        its slot."""
        limits = self._accounts.per_address
        return None if limits.tokens is None and limits.running is None else caller.address

    async def stream(self, caller: Caller) -> StreamSlot:
        """Admit a stream. Raises OverLimit or StoreUnavailable."""
        limited = [
            account
            for account in self._accounts.of(caller.owner, caller.address)
            if account.limits.streams is not None
        ]
        slot = StreamSlot([account.of("streams") for account in limited], caller.owner)
        for account in limited:
            name, limit = account.of("streams"), account.limits.streams or 0
            if not await self._limiter.acquire(name, slot.holder, limit, STREAM_TTL):
                await self.leave(slot)
                status = LimitStatus(account.policy("streams"), limit, 0, SLOT_RETRY_AFTER)
                raise _over_limit(account, status)
        return slot

    def enter(self, slot: StreamSlot) -> None:
        """Keep the slot from now on until `leave`: the stream has begun."""
        for account in slot.accounts:
            self._streams.enter(account, slot.holder)

    async def leave(self, slot: StreamSlot) -> None:
        """Release the slot of a stream that has ended or was not admitted."""
        for account in slot.accounts:
            await self._streams.leave(account, slot.holder)

    async def keep_streams(self) -> None:
        """Renew the slots of all open streams of this process. To be called several times in
        STREAM_TTL."""
        await self._streams.renew()

    async def _require_tokens(self, account: Account, limit: int) -> LimitStatus:
        """Return what is left of this day's tokens. Raises OverLimit if nothing is."""
        status = await self._tokens_left(account, limit)
        if status.left == 0:
            raise _over_limit(account, status)
        return status

    async def _tokens_left(self, account: Account, limit: int) -> LimitStatus:
        left = max(0, limit - await self._meter.used(account.id))
        reset = self._meter.until_midnight()
        return LimitStatus(account.policy("tokens"), limit, left, reset, DAY)

    async def _consume(self, account: Account, what: str, limit: int, window: float) -> LimitStatus:
        """Consume one. Raises OverLimit."""
        usage = await self._limiter.consume(account.of(what), 1, limit, window)
        left = max(0, limit - usage.used)
        status = LimitStatus(account.policy(what), limit, left, usage.reset, window)
        if not usage.granted:
            raise _over_limit(account, status)
        return status

    async def _acquire_running(
        self, account: Account, task_id: str, limit: int, slots: str
    ) -> None:
        name = account.of(slots)
        while not await self._limiter.acquire(name, task_id, limit, RUNNING_TTL):
            if not await self._release_ended(name):
                status = LimitStatus(account.policy(slots), limit, 0, SLOT_RETRY_AFTER)
                raise _over_limit(account, status)

    async def _release_ended(self, name: str) -> bool:
        """Check a few slots and release those whose tasks have ended; return whether any has. The
        others are postponed, so that every slot is checked in turn."""
        ended: list[str] = []
        alive: list[str] = []
        for slot in await self._limiter.holders(name, SLOTS_CHECKED):
            try:
                task = await self._fail_if_orphaned(await self._tasks.get(slot.holder))
            except DeletedTask:
                ended.append(slot.holder)
            except UnknownTask:
                if slot.left <= RUNNING_TTL - START_TIMEOUT:
                    ended.append(slot.holder)
            except UnreadableTask:
                alive.append(slot.holder)
            else:
                (ended if task.status.terminal else alive).append(slot.holder)
        if alive:
            await self._limiter.postpone(name, alive, RUNNING_TTL)
        for task_id in ended:
            await self._limiter.release(name, task_id)
        return bool(ended)


def _over_limit(account: Account, status: LimitStatus) -> OverLimit:
    """Return the refusal, which the log tells with the owner; addresses stand in no log."""
    owner = account.name if account.kind == "key" else None
    log.warning("over a limit", policy=status.policy, limit=status.limit, owner=owner)
    return OverLimit(status)
