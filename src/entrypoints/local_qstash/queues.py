"""Queues: their parallelism, and whether they are paused. What is set for them outlives the
process."""

import asyncio
import time
from typing import Any

from entrypoints.local_qstash.names import checked_name
from entrypoints.local_qstash.records import Records
from entrypoints.local_qstash.turns import Turns, queue_line

KIND = "queues"


class Queues:
    def __init__(self, records: Records, turns: Turns) -> None:
        self._records = records
        self._turns = turns
        self._changing = asyncio.Lock()
        for name in records.of(KIND):
            self._follow(name)

    def get(self, name: str) -> dict[str, Any] | None:
        """Return the queue as `GET /v2/queues/{queueName}` shows it."""
        kept = self._records.of(KIND).get(name)
        waiting = self._turns.in_queue(name)
        if kept is None and not waiting:
            return None
        return {"name": name, **(kept or _new()), "lag": len(waiting)}

    def all(self) -> list[dict[str, Any]]:
        names = dict.fromkeys([*self._records.of(KIND), *self._turns.queues()])
        return [queue for name in names if (queue := self.get(name)) is not None]

    async def create(self, name: str) -> None:
        """Create a queue if there is none of this name. Raises TooMany or Unavailable."""
        if name not in self._records.of(KIND):
            await self._set(name)

    async def set(self, name: str, parallelism: int, *, paused: bool | None) -> None:
        """Create or change a queue. `paused`: None leaves it as it is. Raises BadMessage, TooMany
        or Unavailable."""
        await self._set(name, parallelism=parallelism, paused=paused)

    async def pause(self, name: str) -> None:
        """What is being delivered is completed. Creates the queue, and raises, as `set`."""
        await self._set(name, paused=True)

    async def resume(self, name: str) -> None:
        """Go on with the earliest message that is not delivered."""
        await self._set(name, paused=False)

    async def delete(self, name: str) -> None:
        """Delete the queue, if there is one. Its messages must be cancelled before. Raises
        Unavailable."""
        async with self._changing:
            if await self._records.drop(KIND, name):
                with self._turns.slots.changed(queue_line(name)) as line:
                    line.unpin(parallelism=True, rate=True)
                    line.resume()

    async def _set(self, name: str, **changes: int | bool | None) -> None:
        checked_name(name, "queue name")
        async with self._changing:
            value = {**_new(), **self._records.of(KIND).get(name, {})}
            wanted = {key: each for key, each in changes.items() if each is not None}
            value |= {**wanted, "updatedAt": int(time.time() * 1000)}
            await self._records.put(KIND, name, value)
            self._follow(name)

    def _follow(self, name: str) -> None:
        kept = self._records.of(KIND)[name]
        with self._turns.slots.changed(queue_line(name)) as line:
            line.pin(kept["parallelism"], None)
            (line.pause if kept["paused"] else line.resume)()


def _new() -> dict[str, Any]:
    now = int(time.time() * 1000)
    return {"createdAt": now, "updatedAt": now, "parallelism": 1, "paused": False}
