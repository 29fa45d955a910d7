"""Webhooks of tasks whose process is killed: each is told of, and with one id."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from adapters.webhooks import new_secret
from tests.doubles.destination import Destination
from tests.doubles.upstream import DONE, Gate, Script, Upstream, finish, piece
from tests.instances import QSTASH
from tests.processes import found_in, process_of
from tests.redis_server import LocalRedis
from tests.running import Client, Running, running_local_qstash, running_service, settings_for
from tests.tcp_proxy import TcpProxy
from tests.waiting import eventually, within

SHORT = {"lease": 1.0, "orphan_timeout": 4.0}
"""Seconds, so that a task whose worker died is soon another one's, or fails."""
IDLE = 0.5
"""Seconds without a call after which a worker has done all that it has to do."""
SECRET = new_secret()


class Counting:
    """Counts the calls of a process to its store and its queue, and kills it before the one of this
    number."""

    def __init__(self, process: "subprocess.Popen[str]", fatal: int) -> None:
        self._process = process
        self._fatal = fatal
        self._lock = threading.Lock()
        self.counted = 0
        self._last = time.monotonic()

    @property
    def idle(self) -> bool:
        return time.monotonic() - self._last > within(IDLE)

    def __call__(self, chunk: bytes) -> None:
        if b"EVALSHA" not in chunk and not chunk.startswith((b"POST /v2/", b"DELETE /v2/")):
            return
        with self._lock:
            self.counted += 1
            self._last = time.monotonic()
            if self.counted == self._fatal:
                os.kill(self._process.pid, signal.SIGKILL)
                self._process.wait(within(10))
            if self.counted >= self._fatal:
                raise ConnectionError  # this chunk is not passed on


@contextmanager
def running_worker(
    folder: Path, redis: LocalRedis, qstash: str, fatal: int, **settings: str
) -> Iterator[tuple[Client, "subprocess.Popen[str]", Counting]]:
    """A process of the service that is killed at that call."""
    folder.mkdir()
    queue = TcpProxy(int(qstash.rpartition(":")[2]))
    with TcpProxy(redis.port).running() as store, queue.running():
        ours = {"REDIS_URL": f"redis://127.0.0.1:{store.port}", "QSTASH_URL": queue.url}
        with (
            process_of(folder, "serve", "--port", "0", **{**settings, **ours}) as (process, log),
            Client(found_in(log)) as client,
        ):
            counting = Counting(process, fatal)
            store.before = queue.before = counting
            yield client, process, counting


def end_as(status: str, client: Client, receiver: Destination) -> None:
    """Start a task, and cancel it if it is to end so. The process may be killed meanwhile."""
    with contextlib.suppress(httpx.HTTPError):
        asked = {"prompt": "Hi.", "webhook": {"url": receiver.url}}
        started = client.http.post("/api/tasks/start", json=asked)
        if status == "cancelled" and started.status_code == 202:
            client.http.post(f"/api/tasks/{started.json()['taskId']}/cancel")


def is_over(
    process: "subprocess.Popen[str]", counting: Counting, receiver: Destination, before: int
) -> bool:
    """Whether a process is dead, or has told of one more end and does nothing else."""
    return process.poll() is not None or (len(receiver.told()) > before and counting.idle)


def records(service: Running) -> dict[str, dict[str, Any]]:
    listed = service.client.http.get("/api/tasks?limit=100").json()["tasks"]
    return {each["taskId"]: service.client.record(each["taskId"]) for each in listed}


@pytest.mark.soak
@pytest.mark.parametrize("status", ["completed", "cancelled"])
def test_each_end_is_told_wherever_its_process_is_killed(
    own_redis: LocalRedis, upstream: Upstream, tmp_path: Path, status: str
) -> None:
    """Before each call of the store and of the queue in the life of a task, from its start to the
    note that it was told of. Deliveries go to that process until it is dead, and then to another
    one."""
    end = [finish() + DONE] if status == "completed" else [Gate()]
    upstream.always = Script([piece("one"), *end])
    with (
        running_local_qstash() as qstash,
        TcpProxy().running() as front,
        Destination().running() as receiver,
    ):
        settings = settings_for(
            redis_url=own_redis.url,
            base_url=front.url,
            qstash_token=QSTASH["QSTASH_TOKEN"],
            qstash_current_signing_key=QSTASH["QSTASH_CURRENT_SIGNING_KEY"],
            qstash_next_signing_key=QSTASH["QSTASH_NEXT_SIGNING_KEY"],
            qstash_url=qstash,
            openai_base_url=upstream.url,
            webhook_secrets=SECRET,
            private_webhooks=True,
            **SHORT,
        )
        of_workers = {
            **QSTASH,
            "BASE_URL": front.url,
            "OPENAI_BASE_URL": upstream.url,
            "LONGTASK_LEASE": str(SHORT["lease"]),
            "LONGTASK_ORPHAN_TIMEOUT": str(SHORT["orphan_timeout"]),
            "LONGTASK_LOG_FORMAT": "json",
            "LONGTASK_WEBHOOK_SECRETS": SECRET,
            "LONGTASK_WEBHOOK_ALLOW_PRIVATE": "true",
        }
        with running_service(settings) as other:

            def is_settled() -> bool:
                seen = records(other)
                if status == "cancelled":
                    for task_id, each in seen.items():
                        if each["status"] in ("pending", "running"):
                            other.client.http.post(f"/api/tasks/{task_id}/cancel")
                return all(
                    each["webhook"]["status"] == "delivered" and f"evt_{task_id}" in receiver.told()
                    for task_id, each in seen.items()
                )

            calls, fatal = 1, 0
            while fatal <= calls:
                before = len(receiver.told())
                worker = running_worker(
                    tmp_path / str(fatal), own_redis, qstash, fatal or 10**9, **of_workers
                )
                with worker as (client, process, counting):
                    front.ports[:] = [int(client.url.rpartition(":")[2])]
                    end_as(status, client, receiver)
                    # Not read at the other one, which would publish what this one has not.
                    eventually(partial(is_over, process, counting, receiver, before), 30)
                    front.ports[:] = [int(other.url.rpartition(":")[2])]
                    eventually(is_settled, 30)
                    calls = max(calls, counting.counted if not fatal else 0)
                fatal += 1
            seen = records(other)
    assert calls >= 10, "the life of a task takes more calls"
    assert len(seen) >= calls - 3, "a start that died early leaves no task"
    assert receiver.told().keys() == {f"evt_{task_id}" for task_id in seen}
    assert all(len(bodies) == 1 for bodies in receiver.told().values())
