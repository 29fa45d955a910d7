"""IdempotencyKeys on Redis: one string per key, each step one script."""

from adapters.redis.connection import Connection
from adapters.redis.keys import idempotency_key
from adapters.redis.script import Script
from application.ports import IDEMPOTENCY_TTL, Binding, IdempotencyKeys


class RedisIdempotencyKeys(IdempotencyKeys):
    def __init__(self, connection: Connection) -> None:
        self._bind = Script(connection, "bind")
        self._unbind = Script(connection, "unbind")

    async def bind(
        self, key: str, fingerprint: str, task_id: str, instead_of: Binding | None = None
    ) -> Binding:
        expected = "" if instead_of is None else _written(instead_of)
        bound, now = await self._bind(
            [idempotency_key(key)], [f"{fingerprint} {task_id}", IDEMPOTENCY_TTL * 1000, expected]
        )
        found, found_id, since = bound.decode().split(" ")
        return Binding(found, found_id, int(since), (now - int(since)) / 1000)

    async def release(self, key: str, task_id: str) -> None:
        await self._unbind([idempotency_key(key)], [task_id])


def _written(binding: Binding) -> str:
    return f"{binding.fingerprint} {binding.task_id} {binding.since}"
