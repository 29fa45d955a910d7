"""Webhooks of tasks whose process is killed: each is told of, and with one id."""

import contextlib
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from adapters.webhooks import new_secret
from tests.doubles.destination import Destination
from tests.doubles.upstream import DONE, Gate, Script, Upstream, finish, piece
from tests.end_to_end.killing import Counting, running_worker
from tests.instances import QSTASH
from tests.redis_server import LocalRedis
from tests.running import Client, Running, running_local_qstash, running_service, settings_for
from tests.tcp_proxy import TcpProxy
from tests.waiting import eventually

SHORT = {"lease": 1.0, "orphan_timeout": 4.0}
"""Seconds, so that a task whose worker died is soon another one's, or fails."""
SECRET = new_secret()


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
