"""Quotas: who may still start a task or open a stream, by what they have used.

An account is an owner or a network address; each may have limits. A slot among the running tasks
is released by the process that ends the task (running_slots). A task may also end without one: its
record expires, or the process dies in between. So a start that finds all slots in use looks at LOOK
of them in turn, and releases those whose tasks have ended.
"""

import ipaddress
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import structlog

from application.errors import LimitStatus, OverLimit, StoreUnavailable, UnknownTask, UnreadableTask
from application.ports import Limiter, TaskLog
from application.reap import FailOrphanedTasks
from domain.events import Usage
from domain.task import Task

log = structlog.get_logger(__name__)

MINUTE, DAY = 60.0, 86_400.0
RUNNING_TTL = 30 * DAY
COMING_ABOUT = 60.0
"""Seconds that a start may take: a slot whose task is not known for longer is nobody's."""
STREAM_TTL = 60.0
"""Seconds after which the streams of a process that died no longer count."""
PAUSE = 5.0
"""Seconds after which a slot may be free again."""
LOOK = 2
"""Places among the running tasks that a start looks at when all are taken."""
CHARACTERS_PER_TOKEN = 4
"""Of English text, for an answer of which the model did not count the tokens."""


@dataclass(frozen=True, slots=True)
class Caller:
    """`owner` is None where the service asks nobody who they are."""

    owner: str | None
    address: str


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one account: starts in a minute, tasks that have not ended, open streams, tokens in a
    day. None: no limit."""

    starts: int | None = None
    running: int | None = None
    streams: int | None = None
    tokens: int | None = None


@dataclass(slots=True)
class StreamSlot:
    """Held from when a stream is let in. One that nobody begins to read lapses by itself."""

    accounts: Sequence[str]
    holder: str = field(default_factory=lambda: secrets.token_hex(8))


@dataclass(frozen=True, slots=True)
class Account:
    """`kind` is key or address."""

    kind: str
    name: str
    limits: Limits

    def of(self, what: str) -> str:
        return f"{what}:{self.kind}:{self.name}"

    def policy(self, what: str) -> str:
        return f"{what}-per-{self.kind}"


class Quotas:
    def __init__(
        self,
        limiter: Limiter,
        tasks: TaskLog,
        fail_if_orphaned: FailOrphanedTasks,
        per_owner: Limits,
        per_address: Limits,
    ) -> None:
        self._limiter = limiter
        self._tasks = tasks
        self._fail_if_orphaned = fail_if_orphaned
        self._per_owner = per_owner
        self._per_address = per_address
        self._streams: dict[str, set[str]] = {}

    async def start(self, caller: Caller, task_id: str) -> Sequence[LimitStatus]:
        """Let a new task in. Answers how the caller then stands. Raises OverLimit or
        StoreUnavailable."""
        accounts, limit_statuses = self._accounts(caller.owner, caller.address), []
        taken: list[str] = []
        try:
            for account in accounts:
                if (limit := account.limits.tokens) is not None:
                    limit_statuses.append(await self._spend(account, "tokens", 0, limit, DAY))
                if (limit := account.limits.running) is not None:
                    await self._run(account, task_id, limit)
                    taken.append(account.of("running"))
                if (limit := account.limits.starts) is not None:
                    limit_statuses.append(await self._spend(account, "starts", 1, limit, MINUTE))
        except BaseException:
            for name in taken:
                with suppress(StoreUnavailable):  # then it is found free by the next that looks
                    await self._limiter.release(name, task_id)
            raise
        return limit_statuses

    def origin(self, caller: Caller) -> str | None:
        """What a task must remember of where it came from, so that it can be charged and give
        its slot back."""
        limits = self._per_address
        return None if limits.tokens is None and limits.running is None else caller.address

    async def charge(self, task: Task, usage: Usage | None, characters: int) -> None:
        """Count what an attempt has cost, by what the model says or else by the characters of the
        request and the answer."""
        tokens = characters // CHARACTERS_PER_TOKEN if usage is None else usage.total_tokens
        try:
            for account in self._accounts(task.owner, task.origin):
                if account.limits.tokens is not None and tokens > 0:
                    await self._limiter.consume(account.of("tokens"), tokens, None, DAY)
        except StoreUnavailable as error:
            log.error("tokens not counted", tokens=tokens, error=str(error))

    async def stream(self, caller: Caller) -> StreamSlot:
        """Let a stream in. Raises OverLimit or StoreUnavailable."""
        accounts = [
            each
            for each in self._accounts(caller.owner, caller.address)
            if each.limits.streams is not None
        ]
        slot = StreamSlot([each.of("streams") for each in accounts])
        for account in accounts:
            limit = account.limits.streams or 0
            if not await self._limiter.acquire(
                account.of("streams"), slot.holder, limit, STREAM_TTL
            ):
                await self.leave(slot)
                raise OverLimit(LimitStatus(account.policy("streams"), limit, 0, PAUSE))
        return slot

    def enter(self, slot: StreamSlot) -> None:
        """The stream has begun: it keeps its slot until it leaves."""
        for account in slot.accounts:
            self._streams.setdefault(account, set()).add(slot.holder)

    async def leave(self, slot: StreamSlot) -> None:
        for account in slot.accounts:
            if (holders := self._streams.get(account)) is not None:
                holders.discard(slot.holder)
                if not holders:
                    del self._streams[account]
            try:
                await self._limiter.release(account, slot.holder)
            except StoreUnavailable as error:
                log.warning("slot not given back: it lapses", error=str(error))

    async def keep_streams(self) -> None:
        """Hold the slots of all open streams of this process: to be called several times in
        STREAM_TTL."""
        for account, holders in list(self._streams.items()):
            try:
                await self._limiter.renew(account, list(holders), STREAM_TTL)
            except StoreUnavailable as error:
                log.warning("slots not held", error=str(error))

    async def _spend(
        self, account: Account, what: str, amount: int, limit: int, window: float
    ) -> LimitStatus:
        # Nothing is spent of tokens yet, but there must be at least one left.
        bound = limit if amount else limit - 1
        spent = await self._limiter.consume(account.of(what), amount, bound, window)
        left = max(0, limit - spent.used)
        status = LimitStatus(account.policy(what), limit, left, spent.reset, window)
        if not spent.granted:
            raise OverLimit(status)
        return status

    async def _run(self, account: Account, task_id: str, limit: int) -> None:
        name = account.of("running")
        while not await self._limiter.acquire(name, task_id, limit, RUNNING_TTL):
            if not await self._free_some(name):
                raise OverLimit(LimitStatus(account.policy("running"), limit, 0, PAUSE))

    async def _free_some(self, name: str) -> bool:
        """Free the slots of tasks that have ended, among a few. The others come last from now on,
        so that all are looked at in turn."""
        ended: list[str] = []
        alive: list[str] = []
        for slot in await self._limiter.holders(name, LOOK):
            task_id = slot.holder
            try:
                task = await self._fail_if_orphaned(await self._tasks.get(task_id))
            except UnknownTask:
                if slot.left <= RUNNING_TTL - COMING_ABOUT:
                    ended.append(task_id)
            except UnreadableTask:
                alive.append(task_id)
            else:
                (ended if task.status.terminal else alive).append(task_id)
        if alive:
            await self._limiter.postpone(name, alive, RUNNING_TTL)
        for task_id in ended:
            await self._limiter.release(name, task_id)
        return bool(ended)

    def _accounts(self, owner: str | None, address: str | None) -> Sequence[Account]:
        return accounts_of(owner, address, self._per_owner, self._per_address)


def accounts_of(
    owner: str | None, address: str | None, per_owner: Limits, per_address: Limits
) -> Sequence[Account]:
    """The accounts that something of this owner, from this address, counts for."""
    accounts = []
    if owner is not None:
        accounts.append(Account("key", owner, per_owner))
    if address is not None:
        accounts.append(Account("address", network(address), per_address))
    return accounts


def network(address: str) -> str:
    """What one party can be taken to have: an IPv4 address, or 64 bits of IPv6."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, 64), strict=False))
