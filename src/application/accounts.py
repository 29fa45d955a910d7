"""Accounts: what the use of the service is counted for, and the limits of each.

A caller counts for up to two accounts: its owner, where callers have API keys, and its network
address.
"""

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class Caller:
    """`owner` is None where the service has no API keys."""

    owner: str | None
    address: str


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one account. None: no limit."""

    starts: int | None = None
    """Starts in a minute."""
    running: int | None = None
    """Tasks that have not ended; and as many again that were delayed."""
    streams: int | None = None
    """Open streams."""
    tokens: int | None = None
    """Tokens in a day."""


def slots_of(delayed: bool) -> str:
    """Return what the slot of a task that has not ended is one of. Those of tasks that were delayed
    are counted apart, so that what is planned for later keeps nothing from starting now."""
    return "delayed" if delayed else "running"


@dataclass(frozen=True, slots=True)
class Account:
    kind: str
    """`key` or `address`."""
    name: str
    limits: Limits

    def of(self, what: str) -> str:
        """Return the limiter's counter for what this account uses of one thing, e.g. `starts`."""
        return f"{what}:{self.kind}:{self.name}"

    @property
    def id(self) -> str:
        """Its name in the usage ledger."""
        return f"{self.kind}:{self.name}"

    def policy(self, what: str) -> str:
        """Return the name of the limit in the RateLimit headers."""
        return f"{what}-per-{self.kind}"

    def policies(self) -> Sequence[tuple[str, int]]:
        """Return the name and the limit of each thing that is limited."""
        found = asdict(self.limits).items()
        return [(self.policy(what), limit) for what, limit in found if limit is not None]


@dataclass(frozen=True, slots=True)
class Accounts:
    per_owner: Limits
    per_address: Limits
    named: Mapping[str, Limits] = field(default_factory=dict)
    """The limits of owners for whom `per_owner` does not count."""

    def of(self, owner: str | None, address: str | None) -> Sequence[Account]:
        """Return the accounts of an owner and an address, as far as each is known."""
        accounts = []
        if owner is not None:
            accounts.append(Account("key", owner, self.named.get(owner, self.per_owner)))
        if address is not None:
            accounts.append(Account("address", network(address), self.per_address))
        return accounts


def owner_account(owner: str | None) -> str:
    """Return the name of an owner's account in the usage ledger. None: the one owner of a service
    without API keys."""
    return "all" if owner is None else f"key:{owner}"


@lru_cache(1024)
def network(address: str) -> str:
    """Return what one client usually controls: an IPv4 address, or a /64 network of IPv6."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, 64), strict=False))
