"""IdempotencyKeys on Redis: one string per key, each step one script."""

from adapters.redis.connection import Connection
from adapters.redis.keys import idempotency_key
from adapters.redis.script import Script
from application.ports import IDEMPOTENCY_TTL, Binding, IdempotencyKeys

_ANY = "*"
"""Stands for whatever a key is bound to."""


class RedisIdempotencyKeys(IdempotencyKeys):
    def __init__(self, connection: Connection) -> None:
        self._bound = Script(connection, "bound")
        self._bind = Script(connection, "bind")
        self._unbind = Script(connection, "unbind")

    async def find(self, key: str) -> Binding | None:
        bound, now = await self._bound([idempotency_key(key)])
        return _read(bound, now) if bound else None

    async def bind(
        self,
        key: str,
        fingerprint: str,
        task_id: str,
        instead_of: Binding | None = None,
        ttl: float = IDEMPOTENCY_TTL,
    ) -> Binding:
        expected = "" if instead_of is None else _written(instead_of)
        return await self._write(key, fingerprint, task_id, ttl, expected)

    async def rebind(self, key: str, fingerprint: str, task_id: str, ttl: float) -> Binding:
        return await self._write(key, fingerprint, task_id, ttl, _ANY)

    async def release(self, key: str, task_id: str) -> None:
        await self._unbind([idempotency_key(key)], [task_id])

    async def _write(
        self, key: str, fingerprint: str, task_id: str, ttl: float, expected: str
    ) -> Binding:
        bound, now = await self._bind(
            [idempotency_key(key)], [f"{fingerprint} {task_id}", int(ttl * 1000), expected]
        )
        return _read(bound, now)


def _read(bound: bytes, now: int) -> Binding:
    fingerprint, task_id, since = bound.decode().split(" ")
    return Binding(fingerprint, task_id, int(since), (now - int(since)) / 1000)


def _written(binding: Binding) -> str:
    return f"{binding.fingerprint} {binding.task_id} {binding.since}"
