"""Meter: counts what the attempts of this process use while they run, and cuts those that go over
a budget.

A token costs nothing here. Once a second each attempt is asked what it has used so far, and all
that is new goes to the ledger in one call, which tells what each account has used over all
instances. The end of an attempt corrects what was estimated. A process that is killed leaves
uncounted what came since the last call.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from application.accounts import Account, Accounts, owner_account
from application.errors import BudgetExceeded, StoreUnavailable
from application.ports import Addition, Clock, EndObservingTaskLog, TaskLog, Tokens, UsageLedger
from application.usage_count import UsageCount
from domain.task import Task

log = structlog.get_logger(__name__)

INTERVAL = 1.0
"""Seconds between two calls of the ledger."""
READS = 3
"""How often `used` asks the ledger, if each time a call that adds something comes in between: then
it may miss what that call adds."""
DAY_MS = 86_400_000
NOTHING = Tokens()


def day_of(at: int) -> int:
    """Return the day of UTC of a time in milliseconds, both since the Unix epoch."""
    return at // DAY_MS


@dataclass(slots=True)
class _Pending:
    tokens: Tokens = NOTHING
    tasks: int = 0


class Meter:
    def __init__(self, ledger: UsageLedger, accounts: Accounts, clock: Clock) -> None:
        self._ledger = ledger
        self._accounts = accounts
        self._clock = clock
        self._counts: dict[UsageCount, Callable[[], Tokens]] = {}
        """Those that are open, each with what tells what its attempt has used so far. An attempt
        that has ended is freed at once, with its request: nothing that it has refers to it."""
        self._pending: dict[tuple[str, int, str], _Pending] = {}
        """By account, day and model."""
        self._failed = False
        """Whether the last call left something out."""
        self._calls = 0
        self._no_call = asyncio.Event()
        self._no_call.set()

    def count(self, task: Task, budget: int | None) -> UsageCount:
        """Return a count for an attempt of this task, which is to be opened. `budget`: as in
        UsageCount."""
        accounts = self._accounts.of(task.owner, task.origin)
        limited = [each for each in accounts if each.limits.tokens is not None]
        return UsageCount(self._names(task), limited, task.requested_model, budget)

    async def open(
        self, count: UsageCount, used_so_far: Callable[[], Tokens], asked: Tokens
    ) -> None:
        """Count an attempt from now on, whose request costs these tokens. Raises BudgetExceeded if
        an account of it has fewer left of this day. They count at once, so that of many attempts
        that begin together no more are sent."""
        for account in count.limited:
            try:
                used = await self.used(account.id)
            except StoreUnavailable as error:  # the attempt is cut later
                log.warning("use not known", error=str(error))
            else:
                left = max(0, _limit(account) - used)
                if left < max(1, asked.total):
                    raise BudgetExceeded(
                        f"Only {left} are left of {_of_the_day(account)}: too few for this request."
                    )
        self._counts[count] = used_so_far
        day = self._today()
        count.expect(day, asked)
        self._add(count.accounts, day, count.model, asked)

    def close(self, count: UsageCount, used: Tokens, model: str, counted: Tokens) -> None:
        """End a count. The arguments are those of `UsageCount.corrections`."""
        self._counts.pop(count, None)
        for day, of, tokens in count.corrections(used, model, counted, self._today()):
            self._add(count.accounts, day, of, tokens)

    def ended(self, task: Task) -> None:
        """Count a task that has ended."""
        model = task.model or task.requested_model
        self._add(self._names(task), self._today(), model, tasks=1)

    async def used(self, account: str) -> int:
        """Return the tokens that an account has used today, those included that this process has
        yet to add. Raises StoreUnavailable."""
        day, used = self._today(), 0
        for _ in range(READS):
            await self._no_call.wait()
            calls = self._calls
            used = await self._ledger.used(account, day)
            if calls == self._calls:
                break
        waiting = self._pending.items()
        return used + sum(
            each.tokens.total for (name, on, _), each in waiting if (name, on) == (account, day)
        )

    def until_midnight(self) -> float:
        """Return the seconds until the next day of UTC begins."""
        return (DAY_MS - self._clock.now() % DAY_MS) / 1000

    async def run(self) -> None:
        """Call the ledger once a second, without end."""
        while True:
            await asyncio.sleep(INTERVAL)
            try:
                await asyncio.shield(self.flush())  # so that the stop leaves no call undecided
            except Exception:
                log.exception("use not counted yet")

    async def flush(self) -> None:
        """Add to the ledger what is new, and cut the attempts whose accounts are over a limit. What
        the ledger could not be told is added by the next call. It may then count twice, and no
        more than that: while the ledger cannot be read it is told nothing."""
        await self._no_call.wait()
        day = self._today()
        for count, used_so_far in self._counts.items():
            if new := count.news(used_so_far(), day):
                self._add(count.accounts, day, count.model, new)
            for account in count.limited:  # also what other instances have used
                self._pending.setdefault((account.id, day, count.model), _Pending())
        pending, self._pending = self._pending, {}
        additions: Sequence[Addition] = [
            Addition(*key, each.tokens, each.tasks) for key, each in pending.items()
        ]
        if not additions:
            return
        self._calls += 1
        self._no_call.clear()
        try:
            if self._failed:
                additions = await self._within_reach(additions)
            used = await self._ledger.add(additions) if additions else ()
        except BaseException as error:
            self._failed = True
            self._keep(additions)
            if not isinstance(error, StoreUnavailable):
                raise
            log.warning("use not counted yet", error=str(error))
        else:
            accounts = zip(additions, used, strict=True)
            self._cut({each.account: now for each, now in accounts if each.day == day})
        finally:
            self._no_call.set()

    async def _within_reach(self, additions: Sequence[Addition]) -> Sequence[Addition]:
        """Return those whose accounts the ledger can read, and keep the others for the next call:
        of a store on several servers one may be down."""
        places = list({(each.account, each.day) for each in additions})
        read = await asyncio.gather(*(self._can_read(*place) for place in places))
        reached = {place for place, found in zip(places, read, strict=True) if found}
        self._failed = len(reached) < len(places)
        if self._failed:
            log.warning("use not counted yet", accounts=len(places) - len(reached))
        self._keep([each for each in additions if (each.account, each.day) not in reached])
        return [each for each in additions if (each.account, each.day) in reached]

    async def _can_read(self, account: str, day: int) -> bool:
        try:
            await self._ledger.used(account, day)
        except StoreUnavailable:
            return False
        return True

    def _keep(self, additions: Sequence[Addition]) -> None:
        for each in additions:
            self._add([each.account], each.day, each.model, each.tokens, each.tasks)

    def _cut(self, used: Mapping[str, int]) -> None:
        for count in self._counts:
            for account in count.limited:
                if used.get(account.id, 0) > _limit(account):
                    count.cut(BudgetExceeded(f"This used up {_of_the_day(account)}."))

    def _add(
        self,
        accounts: Sequence[str],
        day: int,
        model: str,
        tokens: Tokens = NOTHING,
        tasks: int = 0,
    ) -> None:
        if not tokens and not tasks:
            return
        for account in accounts:
            pending = self._pending.setdefault((account, day, model), _Pending())
            pending.tokens += tokens
            pending.tasks += tasks

    def _names(self, task: Task) -> Sequence[str]:
        addresses = self._accounts.of(None, task.origin)
        limited = [each.id for each in addresses if each.limits.tokens is not None]
        return [owner_account(task.owner), *limited]

    def _today(self) -> int:
        return day_of(self._clock.now())


class MeteredTaskLog(EndObservingTaskLog):
    """Counts each task that a write of this process has ended."""

    def __init__(self, inner: TaskLog, meter: Meter) -> None:
        super().__init__(inner)
        self._meter = meter

    async def _ended(self, task: Task) -> None:
        self._meter.ended(task)


def _limit(account: Account) -> int:
    assert account.limits.tokens is not None  # noqa: S101
    return account.limits.tokens


def _of_the_day(account: Account) -> str:
    of = "API key" if account.kind == "key" else "address"
    return f"the {_limit(account)} tokens that this {of} may use in a day"
