"""The port of idempotency keys: which task a client's key is bound to, and since when.

A start binds the key to a task id first, and creates the task only then: after the quotas have
admitted it, it writes the record, and it confirms before it publishes that the key is still bound
to its task. Until the record exists another start with the key must wait; after ABANDONED_AFTER
seconds without a record it may take over the key. Confirmation and takeover are compare-and-set
operations on the same value, so exactly one of them succeeds.

Starts without a client's key use the port with keys of their own: see start_by_sdk and chats.
"""

from dataclasses import dataclass
from typing import Protocol

IDEMPOTENCY_TTL = 24 * 3600
"""Seconds for which a client's key is bound."""
ABANDONED_AFTER = 60.0
"""Seconds after which a key whose task has no record is free: the process that bound it has died,
or the record has expired."""


@dataclass(frozen=True, slots=True)
class Binding:
    """What a key is bound to."""

    fingerprint: str
    """What the starts with the key tell each other, without spaces: a hash of the request, for a
    client's key."""
    task_id: str
    since: int
    """Identifies this binding among all bindings of the key."""
    age: float
    """Seconds since the key was bound, by the store's clock."""

    @property
    def abandoned(self) -> bool:
        """Whether the key is free if the task has no record."""
        return self.age > ABANDONED_AFTER


class IdempotencyKeys(Protocol):
    """Keeps each binding for `ttl` seconds. Each method is one atomic step and may raise
    StoreUnavailable."""

    async def find(self, key: str) -> Binding | None:
        """Return what a key is bound to, or None if it is free."""
        ...

    async def bind(
        self,
        key: str,
        fingerprint: str,
        task_id: str,
        instead_of: Binding | None = None,
        ttl: float = IDEMPOTENCY_TTL,
    ) -> Binding:
        """Bind a key to a task if the key is free, or if its binding is still `instead_of`. Return
        the binding that the key then has: the new one, or that of another start."""
        ...

    async def rebind(self, key: str, fingerprint: str, task_id: str, ttl: float) -> Binding:
        """Bind a key to a task, whatever it is bound to. Return the new binding."""
        ...

    async def release(self, key: str, task_id: str) -> None:
        """Free the key if it is bound to this task."""
        ...
