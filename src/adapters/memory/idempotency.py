"""IdempotencyKeys in the memory of one process. A method is atomic because it never awaits."""

import heapq
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from application.ports import IDEMPOTENCY_TTL, Binding, IdempotencyKeys


@dataclass(frozen=True, slots=True)
class _Bound:
    binding: Binding
    bound_at: float

    def as_of(self, now: float) -> Binding:
        return replace(self.binding, age=now - self.bound_at)


class MemoryIdempotencyKeys(IdempotencyKeys):
    def __init__(self, elapsed: Callable[[], float] = time.monotonic) -> None:
        """`elapsed`: a monotonic clock, in seconds."""
        self._elapsed = elapsed
        self._bound: dict[str, _Bound] = {}
        self._expiries: list[tuple[float, int, str]] = []
        """When each binding expires, its `since`, and its key; also of bindings that have gone."""
        self._bindings = 0

    async def find(self, key: str) -> Binding | None:
        now = self._elapsed()
        self._drop_expired(now)
        bound = self._bound.get(key)
        return None if bound is None else bound.as_of(now)

    async def bind(
        self,
        key: str,
        fingerprint: str,
        task_id: str,
        instead_of: Binding | None = None,
        ttl: float = IDEMPOTENCY_TTL,
    ) -> Binding:
        now = self._elapsed()
        self._drop_expired(now)
        bound = self._bound.get(key)
        if bound is None or (instead_of is not None and bound.binding.since == instead_of.since):
            return self._write(key, fingerprint, task_id, ttl, now)
        return bound.as_of(now)

    async def rebind(self, key: str, fingerprint: str, task_id: str, ttl: float) -> Binding:
        now = self._elapsed()
        self._drop_expired(now)
        return self._write(key, fingerprint, task_id, ttl, now)

    async def release(self, key: str, task_id: str) -> None:
        bound = self._bound.get(key)
        if bound is not None and bound.binding.task_id == task_id:
            del self._bound[key]

    def _write(self, key: str, fingerprint: str, task_id: str, ttl: float, now: float) -> Binding:
        self._bindings += 1
        binding = Binding(fingerprint, task_id, self._bindings, 0.0)
        self._bound[key] = _Bound(binding, now)
        heapq.heappush(self._expiries, (now + ttl, binding.since, key))
        return binding

    def _drop_expired(self, now: float) -> None:
        while self._expiries and self._expiries[0][0] <= now:
            _, since, key = heapq.heappop(self._expiries)
            bound = self._bound.get(key)
            if bound is not None and bound.binding.since == since:
                del self._bound[key]
