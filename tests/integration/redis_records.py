"""Records in Redis, field by field, and as the version before wrote them."""

import json
from dataclasses import dataclass
from typing import Any

import pytest

from adapters.redis import Connection, RedisTaskLog
from adapters.redis.keys import keys_of
from application.errors import UnreadableTask
from domain.failure import Failure
from domain.request import TaskRequest
from domain.task import Task
from tests.builders import LEASE, REQUEST

FAILURE = Failure("model_error", "It failed.", True)


@dataclass
class Bench:
    connection: Connection
    tasks: RedisTaskLog

    async def field(self, task_id: str, name: str) -> bytes:
        found: bytes = await self.connection.call("HGET", keys_of(task_id).record, name)
        return found

    async def set_field(self, task_id: str, name: str, value: str) -> None:
        await self.connection.call("HSET", keys_of(task_id).record, name, value)

    async def refuses(self, task_id: str) -> None:
        tasks = self.tasks
        for call in (
            tasks.get(task_id),
            tasks.create(Task.submit(task_id, REQUEST, 1)),
            tasks.claim(task_id, LEASE, 1),
            tasks.cancel(task_id, 1),
            tasks.fail(task_id, FAILURE, 1),
            tasks.fail_unqueued(task_id, FAILURE, 1),
            tasks.fail_orphaned(task_id, FAILURE, 1),
        ):
            with pytest.raises(UnreadableTask, match=task_id):
                await call


# A new task in `task`, as the versions before wrote it; a version that changes it adds its own.
_AFTER = (
    '"status":"pending","attempt":0,"created_at":1,"updated_at":1,"owner":"alice",'
    '"origin":"192.0.2.7","started_at":null,"finished_at":null,"message_id":null,"model":null,'
    '"finish_reason":null,"usage":null,"failure":null}'
)
VERSIONS_BEFORE = {
    "requests of version 1": (
        '{"id":"ID","request":{"v":1,"model":"m","max_tokens":10,"temperature":0.5,'
        '"prompt":"Hi."},' + _AFTER,
        REQUEST,
    ),
    "requests of version 2": (
        '{"id":"ID","request":{"v":2,"model":"m","messages":[{"role":"user","content":"A\u00e9"},'
        '{"role":"assistant","content":"B"}],"system":"S","metadata":{"k":"v"}},' + _AFTER,
        TaskRequest(
            model="m",
            messages=({"role": "user", "content": "Aé"}, {"role": "assistant", "content": "B"}),
            system="S",
            metadata={"k": "v"},
        ),
    ),
}


@dataclass
class OldRecord:
    """A record as the version before writes it."""

    bench: Bench
    id: str
    request: TaskRequest

    @staticmethod
    async def written(bench: Bench, version: tuple[str, TaskRequest]) -> "OldRecord":
        """A new task, as that version's create.lua leaves it."""
        record, request = version
        task_id = f"task_1_{id(bench):x}"
        keys = keys_of(task_id)
        await bench.connection.call("DEL", keys.record, keys.log, keys.lease, keys.heartbeat)
        fields = {
            "v": "1",
            "task": record.replace("ID", task_id),
            "status": "pending",
            "attempt": "0",
            "writer": "0",
            "epoch": "abc",
            "epochs": "1-abc",
        }
        words = [word for pair in fields.items() for word in pair]
        await bench.connection.call("HSET", keys.record, *words)
        await bench.connection.call("RPUSH", keys.log, '["s",1,"pending",0,null]')
        for key in (keys.record, keys.log):
            await bench.connection.call("PEXPIRE", key, 60_000)
        return OldRecord(bench, task_id, request)

    async def write(self, writer: int | None = None, **changed: Any) -> None:
        """Change the record as that version's commit.lua does: it knows `task`, and no `state`."""
        record = json.loads(await self.bench.field(self.id, "task")) | changed
        assert "request" in record, "it would have refused it"
        await self.bench.set_field(self.id, "task", json.dumps(record))
        for name in ("status", "attempt"):
            await self.bench.set_field(self.id, name, str(record[name]))
        await self.bench.set_field(
            self.id, "writer", str(record["attempt"] if writer is None else writer)
        )
