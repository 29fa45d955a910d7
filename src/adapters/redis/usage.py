"""UsageLedger on Redis: a hash for each account and day, which one script adds to.

The accounts of a day stand in a set, for those who ask for all. It lies in a slot of its own, so it
is written beside the script, by the first addition of each process and day.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.resources import files
from itertools import product

import structlog

from adapters.redis.connection import Connection, Word
from adapters.redis.keys import usage_accounts_key, usage_key
from application.errors import StoreUnavailable
from application.ports import Addition, Row, Tokens, UsageLedger
from application.ports.usage import (
    MODELS_LIMIT,
    RETENTION_DAYS,
    is_address,
    kept_form,
    retention_days,
)

log = structlog.get_logger(__name__)

DAY = 86_400
ENTERED = 10_000
"""Entries of the sets that a process remembers."""
HASHES_AT_ONCE = 100
"""Hashes that one pipeline reads. To decode them takes some milliseconds."""
_AS_LIST = "return redis.call(ARGV[1], KEYS[1])"
"""Reads a whole key. Each client library makes another type of what such a command returns, and a
list of what a script does."""


class RedisUsageLedger(UsageLedger):
    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._entered: set[tuple[str, int]] = set()
        """Accounts and days that are known to stand in their sets."""
        self._missing: set[tuple[str, int]] = set()
        """Those that are still to be entered."""
        script = files("adapters.redis").joinpath("scripts", "use.lua").read_text()
        lines = (each.strip() for each in script.splitlines())
        self._script = "\n".join(each for each in lines if not each.startswith("--"))

    async def add(self, additions: Sequence[Addition]) -> Sequence[int]:
        kept = [kept_form(each) for each in additions]
        results = await self._connection.pipeline([self._addition(each) for each in kept])
        for each, (_, new) in zip(kept, results, strict=True):
            key = (each.account, each.day)
            if not is_address(each.account) and (new or key not in self._entered):
                self._missing.add(key)
        if self._missing:
            await self._enter()
        return [used for used, _ in results]

    async def _enter(self) -> None:
        """Enter what is missing in the sets. If that fails the additions stand nevertheless, and it
        is tried again with the next ones."""
        entering = set(self._missing)
        try:
            await self._connection.pipeline(list(_entries(entering)))
        except StoreUnavailable as error:
            log.warning("accounts not entered yet", error=str(error))
            return
        self._missing -= entering
        if len(self._entered) > ENTERED:
            self._entered.clear()
        self._entered |= entering

    async def used(self, account: str, day: int) -> int:
        return int(await self._connection.call("HGET", usage_key(account, day), "used") or 0)

    async def rows(self, accounts: Sequence[str] | None, first: int, last: int) -> Sequence[Row]:
        days = range(first, last + 1)
        if accounts is None:
            pairs = await self._all(days)
        else:
            named = sorted({each for each in accounts if not is_address(each)})
            pairs = list(product(days, named))
        rows: list[Row] = []
        for begin in range(0, len(pairs), HASHES_AT_ONCE):
            some = pairs[begin : begin + HASHES_AT_ONCE]
            keys = [usage_key(account, day) for day, account in some]
            commands = [("EVAL", _AS_LIST, 1, key, "HGETALL") for key in keys]
            for (day, account), hash_ in zip(
                some, await self._connection.pipeline(commands), strict=True
            ):
                rows += _rows(account, day, dict(zip(hash_[::2], hash_[1::2], strict=True)))
        return rows

    async def _all(self, days: Sequence[int]) -> Sequence[tuple[int, str]]:
        found = await self._connection.pipeline(
            [("EVAL", _AS_LIST, 1, usage_accounts_key(day), "SMEMBERS") for day in days]
        )
        return [
            (day, account)
            for day, names in zip(days, found, strict=True)
            for account in sorted(name.decode() for name in names)
        ]

    def _addition(self, addition: Addition) -> Sequence[Word]:
        tokens = addition.tokens
        numbers = (tokens.input, tokens.cached, tokens.output, tokens.reasoning, addition.tasks)
        ttl = (retention_days(addition.account) + 1) * DAY
        key = usage_key(addition.account, addition.day)
        return ("EVAL", self._script, 1, key, ttl, MODELS_LIMIT, addition.model, *numbers)


def _entries(keys: Iterable[tuple[str, int]]) -> Iterator[Sequence[Word]]:
    """Yield the commands that enter accounts into the sets of their days."""
    by_day: dict[int, list[str]] = {}
    for account, day in keys:
        by_day.setdefault(day, []).append(account)
    for day, accounts in by_day.items():
        key = usage_accounts_key(day)
        yield ("SADD", key, *accounts)
        yield ("EXPIRE", key, (RETENTION_DAYS + 1) * DAY)


def _rows(account: str, day: int, hash_: Mapping[bytes, bytes]) -> Iterator[Row]:
    models = sorted(name[2:].decode() for name in hash_ if name.startswith(b"i|"))
    for model in models:
        numbers = (int(hash_.get(f"{kind}|{model}".encode(), 0)) for kind in "icort")
        *tokens, tasks = numbers
        if any(tokens) or tasks:
            yield Row(account, day, model, Tokens(*tokens), tasks)
