"""Idempotency keys: which task a client's key stands for, and since when.

A binding is not yet a task. It becomes one when the start that made it has been admitted, has
written the record, and has confirmed that the binding is still its own. Until then another start
may only wait; after ABANDONED_AFTER seconds without a record it may take the key over. Both the
confirmation and the takeover are one compare-and-set on the same value, so exactly one of them
wins.
"""

from dataclasses import dataclass
from typing import Protocol

IDEMPOTENCY_TTL = 24 * 3600
"""Seconds for which a key stays bound."""
ABANDONED_AFTER = 60.0
"""Seconds after which a binding whose task has no record is free: the start that made it has died,
or the record's time to live is over."""


@dataclass(frozen=True, slots=True)
class Binding:
    """What a key is bound to. `since` tells this binding from every other of the key (on Redis the
    time of the binding); `age` is how many seconds ago it was made, by the store's clock."""

    fingerprint: str
    task_id: str
    since: int
    age: float

    @property
    def abandoned(self) -> bool:
        """Whether the key is free if the task has no record."""
        return self.age > ABANDONED_AFTER


class IdempotencyKeys(Protocol):
    """The bindings, kept for IDEMPOTENCY_TTL. Every method is one atomic step and may raise
    StoreUnavailable."""

    async def bind(
        self, key: str, fingerprint: str, task_id: str, instead_of: Binding | None = None
    ) -> Binding:
        """Bind a key to a task if it is free, or if it is still bound exactly as `instead_of` says.
        Return the binding as it then is: this one, or that of another start."""
        ...

    async def release(self, key: str, task_id: str) -> None:
        """Free the key if it is bound to this task."""
        ...
