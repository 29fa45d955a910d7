"""Attempts that go on, whose process is killed before each of their steps: nothing is said twice,
lost or taken back, and where the upstream keeps the answer, nothing is asked for twice."""

import contextlib
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.end_to_end.continuing import Kept, Prefill, log_faults
from tests.end_to_end.killing import IDLE, Counting, proxy_of, running_worker
from tests.end_to_end.restarting import Home
from tests.instances import QSTASH
from tests.mortal_program import COMMITS_LEFT
from tests.redis_server import LocalRedis
from tests.running import Client, running_local_qstash, running_service, settings_for
from tests.tcp_proxy import TcpProxy
from tests.waiting import eventually, within

pytestmark = pytest.mark.soak

ENDED = ("completed", "failed", "cancelled")
NEVER = 10**6
LIVES = [(Kept, "completed"), (Kept, "cancelled"), (Prefill, "completed")]
LEASE, ORPHAN_TIMEOUT = 1.0, 10.0
"""Seconds."""
RETRIES = 20
"""So many that no death uses them up."""
OF_START = 3
"""Steps of a start: test_webhooks_of_the_killed.py and test_ends_of_the_killed.py have them."""


def records(client: Client) -> list[dict[str, Any]]:
    listed = client.http.get("/api/tasks?limit=100").json()["tasks"]
    return [client.record(each["taskId"]) for each in listed]


def begun(client: Client) -> list[dict[str, Any]]:
    """The records without those whose start died before the queue had them."""
    return [
        each for each in records(client) if each["attempt"] or each["error"]["code"] != "forgotten"
    ]


def settled(client: Client, model: Kept | Prefill) -> bool:
    """Whether all tasks have ended, and the model knows. Ends those that would not by
    themselves."""
    seen = records(client)
    if model.endless:
        for each in seen:
            if each["status"] not in ENDED and each["text"]:
                client.http.post(f"/api/tasks/{each['taskId']}/cancel")
    return all(each["status"] in ENDED for each in seen) and not model.faults()


def begin(client: Client, model: Kept | Prefill) -> None:
    """Start a task, and cancel it if its answer is endless. The process may be killed meanwhile."""
    model.begin()
    with contextlib.suppress(httpx.HTTPError):
        started = client.http.post("/api/tasks/start", json={"prompt": "Count."})
        if model.endless and started.status_code == 202:
            task_id = started.json()["taskId"]
            eventually(lambda: "three" in client.record(task_id)["text"], 30)
            client.http.post(f"/api/tasks/{task_id}/cancel")


def over(client: Client, model: Kept | Prefill) -> bool:
    """Whether a process has done all of its tasks, or is dead."""
    try:
        return settled(client, model)
    except httpx.HTTPError:
        return True


@pytest.mark.parametrize("step", ["commit", "call"])
@pytest.mark.parametrize(("kind", "end"), LIVES)
def test_nothing_is_lost_before_whichever_commit_or_call_of_the_model_the_process_is_killed(
    tmp_path: Path, kind: type[Kept | Prefill], end: str, step: str
) -> None:
    """Each process settles what the one before has left, and is killed one step later."""
    model = kind(endless=end == "cancelled")
    commits_left = tmp_path / "commits left"
    with model.model.running(), proxy_of(model.model.url).running() as to_model:
        home = Home(
            tmp_path,
            model.model,
            OPENAI_BASE_URL=f"{to_model.url}/v1",
            LONGTASK_LEASE=str(LEASE),
            LONGTASK_ORPHAN_TIMEOUT=str(ORPHAN_TIMEOUT),
            LONGTASK_QSTASH_RETRIES=str(RETRIES),
            **model.settings,
            **{COMMITS_LEFT: str(commits_left)},
            PYTHONPATH=os.pathsep.join(filter(None, sys.path)),
        )

        def idle() -> bool:
            return time.time() - commits_left.stat().st_mtime > within(IDLE)

        def done(client: Client, process: "subprocess.Popen[str]") -> bool:
            return process.poll() is not None or (over(client, model) and idle())

        steps, fatal = 1, 0  # the first process is not killed
        while fatal <= steps:
            to_model.before = lambda _: None
            with (
                home.serving(program="tests.mortal_program") as process,
                Client(home.url) as client,
            ):
                eventually(partial(settled, client, model), 30)
                counting = Counting(process, fatal if fatal and step == "call" else NEVER)
                commits = fatal if fatal and step == "commit" else NEVER
                new = tmp_path / "new"  # the process may read at any moment
                new.write_text(str(commits))
                new.replace(commits_left)
                to_model.before = counting
                begin(client, model)
                eventually(partial(done, client, process), 30)
                if not fatal:
                    used = commits - int(commits_left.read_text())
                    steps = used if step == "commit" else counting.counted
                commits_left.unlink()
            fatal += 1 if fatal or step == "call" else OF_START + 1
        to_model.before = lambda _: None
        with home.serving(), Client(home.url) as client:
            eventually(partial(settled, client, model), 30)
            ended = begun(client)
            faults = log_faults(client, ended, end) + model.faults()
    assert not faults
    assert steps >= (12 if step == "commit" else 2), "the life of a task has more steps"
    assert len(ended) >= steps - OF_START


@pytest.mark.parametrize(("kind", "end"), LIVES)
def test_nothing_is_lost_before_whichever_call_a_worker_on_redis_is_killed(
    own_redis: LocalRedis, tmp_path: Path, kind: type[Kept | Prefill], end: str
) -> None:
    """Deliveries go to a worker until it is dead, and then to another one, which reads on."""
    model = kind(endless=end == "cancelled")
    with (
        model.model.running(),
        proxy_of(model.model.url).running() as to_model,
        running_local_qstash() as qstash,
        TcpProxy().running() as front,
    ):
        settings = settings_for(
            redis_url=own_redis.url,
            base_url=front.url,
            qstash_token=QSTASH["QSTASH_TOKEN"],
            qstash_current_signing_key=QSTASH["QSTASH_CURRENT_SIGNING_KEY"],
            qstash_next_signing_key=QSTASH["QSTASH_NEXT_SIGNING_KEY"],
            qstash_url=qstash,
            qstash_retry_delay="50",
            qstash_retries=RETRIES,
            openai_base_url=f"{to_model.url}/v1",
            lease=LEASE,
            orphan_timeout=ORPHAN_TIMEOUT,
            **model.overrides,
        )
        of_workers = {
            **QSTASH,
            "BASE_URL": front.url,
            "OPENAI_BASE_URL": f"{to_model.url}/v1",
            "LONGTASK_LEASE": str(LEASE),
            "LONGTASK_ORPHAN_TIMEOUT": str(ORPHAN_TIMEOUT),
            "LONGTASK_QSTASH_RETRY_DELAY": "50",
            "LONGTASK_QSTASH_RETRIES": str(RETRIES),
            "LONGTASK_LOG_FORMAT": "json",
            **model.settings,
        }
        with running_service(settings) as other:
            steps, fatal = 1, 0  # the first worker is not killed
            while fatal <= steps:
                number = fatal or NEVER
                worker = running_worker(
                    tmp_path / str(fatal), own_redis, qstash, number, **of_workers
                )
                with worker as (client, process, counting):
                    front.ports[:] = [int(client.url.rpartition(":")[2])]
                    to_model.before = counting
                    begin(client, model)

                    def done(
                        client: Client = client,
                        process: "subprocess.Popen[str]" = process,
                        counting: Counting = counting,
                    ) -> bool:
                        return process.poll() is not None or (counting.idle and over(client, model))

                    eventually(done, 30)
                    to_model.before = lambda _: None
                    front.ports[:] = [int(other.url.rpartition(":")[2])]
                    eventually(partial(settled, other.client, model), 30)
                    steps = counting.counted if not fatal else steps
                fatal += 1 if fatal else OF_START + 1
            ended = begun(other.client)
            faults = log_faults(other.client, ended, end) + model.faults()
    assert not faults
    assert steps >= 12, "the life of a task takes more calls"
    assert len(ended) >= steps - OF_START
