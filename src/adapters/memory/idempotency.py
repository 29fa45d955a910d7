"""IdempotencyKeys in the memory of one process. A method is atomic because it never awaits."""

import time
from collections.abc import Callable
from dataclasses import replace

from application.ports import IDEMPOTENCY_TTL, Binding, IdempotencyKeys


class MemoryIdempotencyKeys(IdempotencyKeys):
    def __init__(self, elapsed: Callable[[], float] = time.monotonic) -> None:
        """`elapsed`: a monotonic clock, in seconds."""
        self._elapsed = elapsed
        self._bound: dict[str, tuple[float, Binding]] = {}
        self._bindings = 0

    async def bind(
        self, key: str, fingerprint: str, task_id: str, instead_of: Binding | None = None
    ) -> Binding:
        now = self._elapsed()
        self._drop_expired(now)
        since, bound = self._bound.get(key, (now, None))
        if bound is None or (instead_of is not None and bound.since == instead_of.since):
            self._bound.pop(key, None)  # keeps the dict in the order of expiry
            self._bindings += 1
            since, bound = now, Binding(fingerprint, task_id, self._bindings, 0.0)
            self._bound[key] = since, bound
        return replace(bound, age=now - since)

    async def release(self, key: str, task_id: str) -> None:
        _, bound = self._bound.get(key, (0.0, None))
        if bound is not None and bound.task_id == task_id:
            del self._bound[key]

    def _drop_expired(self, now: float) -> None:
        while self._bound and (first := next(iter(self._bound))):
            if self._bound[first][0] + IDEMPOTENCY_TTL > now:
                break
            del self._bound[first]
