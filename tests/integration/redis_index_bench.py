"""The index of owners' tasks on Redis, over a connection that counts commands and that a kill cuts
off between any two of them."""

import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from adapters.redis import Connection, RedisTaskIndex, RedisTaskLog
from adapters.redis.connection import Listener, Word
from adapters.redis.keys import owner_keys
from domain.answer import Answer
from domain.attempt import Attempt
from domain.events import ContentAdded
from domain.events import TaskStatus as Status
from domain.task import Task
from domain.task_filter import TaskFilter
from tests.builders import LEASE, NOW, REQUEST, claim

TTL = 60.0


class Killed(BaseException):
    """Nothing that comes behind it is carried out."""


class Counted(Connection):
    """Notes the commands, and is killed before one more than `left`."""

    publish = "PUBLISH"

    def __init__(self, inner: Connection) -> None:
        self._inner = inner
        self.commands: list[str] = []
        self.left = 1_000_000
        self.fault: BaseException = Killed()

    async def call(self, *words: Word) -> Any:
        self.commands.append(str(words[0]))
        if len(self.commands) > self.left:
            raise self.fault
        return await self._inner.call(*words)

    call_batched = call

    async def pipeline(self, commands: Sequence[Sequence[Word]]) -> list[Any]:
        return await self._inner.pipeline(commands)

    async def listen(self) -> Listener:
        return await self._inner.listen()

    async def aclose(self) -> None: ...


@dataclass
class Bench:
    connection: Connection
    tasks: RedisTaskLog
    index: RedisTaskIndex
    counted: Counted
    counting: RedisTaskLog
    """Calls the same Redis through `counted`."""
    owner: str

    def task(self, at: int = NOW, **changed: Any) -> Task:
        task_id = f"task_{at}_{secrets.token_hex(6)}"
        return Task.submit(task_id, replace(REQUEST, **changed), at, self.owner).task

    async def created(self, tasks: RedisTaskLog | None = None, at: int = NOW) -> str:
        task = self.task(at)
        await (tasks or self.tasks).create(Task.submit(task.id, REQUEST, at, self.owner))
        return task.id

    async def unfinished(self) -> list[str]:
        return [each.task_id for each in await self.index.unfinished(self.owner, None, 100)]

    async def ended(self) -> list[str]:
        return [each.task_id for each in await self.index.ended(self.owner, 0, 100)]

    async def listed(self, *statuses: Status) -> list[str]:
        wanted = TaskFilter(frozenset(statuses))
        return [task.id for task in (await self.index.page(self.owner, wanted, None, 100)).tasks]

    async def keys(self) -> int:
        found: int = await self.connection.call("EXISTS", *owner_keys(self.owner).index)
        return found

    async def nothing_left(self) -> bool:
        return await self.keys() == 0

    async def expires(self, task_id: str) -> float:
        score: bytes = await self.connection.call(
            "ZSCORE", owner_keys(self.owner).expiries, task_id
        )
        return float(score)

    async def commands(self, call: Any) -> int:
        """How many commands a call takes."""
        self.counted.commands.clear()
        await call
        return len(self.counted.commands)


@asynccontextmanager
async def indexed(connection: Connection) -> AsyncIterator[Bench]:
    counted = Counted(connection)
    tasks, counting = RedisTaskLog(connection, TTL), RedisTaskLog(counted, TTL)
    owner = f"owner_{secrets.token_hex(6)}"
    bench = Bench(connection, tasks, RedisTaskIndex(connection, TTL), counted, counting, owner)
    await _warm_up(bench)
    bench.owner += "_2"
    yield bench
    await connection.aclose()


async def _warm_up(bench: Bench) -> None:
    """From then on the server knows the scripts: each step is one command."""
    attempt = await claim(bench.tasks, await bench.created())
    attempt = await bench.tasks.append(attempt, [ContentAdded(NOW, "a")], LEASE)
    await bench.tasks.renew(attempt, LEASE)
    await bench.tasks.commit(*completing(attempt))
    await bench.tasks.delete(attempt.task.id)


async def completed(tasks: RedisTaskLog, task_id: str) -> None:
    await tasks.commit(*completing(await claim(tasks, task_id)))


def completing(attempt: Attempt) -> tuple[Attempt, Any]:
    done = attempt.task.complete(
        NOW, answer=Answer("a"), finish_reason="stop", model="m", usage=None
    )
    return attempt, done
