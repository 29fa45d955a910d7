"""An instance or a worker that is killed, frozen or stopped while it runs a task: another finishes
it, and readers miss nothing."""

import os
import signal
from pathlib import Path

import pytest

from tests.doubles.upstream import DONE, Gate, Script, Upstream, finish, piece
from tests.instances import balanced, that_runs
from tests.processes import found_in, process_of
from tests.running import (
    Client,
    Seen,
    follow,
)
from tests.waiting import eventually, within


def _was_finished_by_another(seen: Seen) -> None:
    numbers = [int(event.id.rpartition("-")[2]) for event in seen.logged]
    assert numbers == list(range(1, len(numbers) + 1))
    states = [event.data["data"] for event in seen.logged if event.type == "status"]
    assert states == ["pending", "running", "pending", "running", "completed"]
    assert seen.logged[-1].data["data"] == "Hello, world."


@pytest.mark.soak
def test_the_instance_that_runs_a_task_is_killed_and_the_other_finishes_it(
    tmp_path: Path, redis_url: str, upstream: Upstream
) -> None:
    upstream.then(Script([piece("Lost"), Gate()]))
    settings = {"REDIS_URL": redis_url, "OPENAI_BASE_URL": upstream.url, "LONGTASK_LEASE": "1.5"}
    with balanced(tmp_path, **settings) as (client, processes):
        thread, seen = follow(client.url, client.start())
        eventually(lambda: seen.text == "Lost")
        processes[that_runs(processes)].kill()
        thread.join(within(30))
        assert not thread.is_alive()
    _was_finished_by_another(seen)


@pytest.mark.soak
def test_an_instance_that_was_frozen_beyond_its_lease_cannot_write(
    tmp_path: Path, redis_url: str, upstream: Upstream
) -> None:
    """It wakes up to find text of the model waiting for it, and does not know that another one
    has finished the task meanwhile."""
    gate = Gate()
    upstream.then(Script([piece("Lost"), gate, piece(" and late"), finish(), DONE]))
    settings = {
        "REDIS_URL": redis_url,
        "OPENAI_BASE_URL": upstream.url,
        "LONGTASK_LEASE": "1.5",
        "LONGTASK_DELIVERY_TIMEOUT": "3",
        "LONGTASK_LOG_FORMAT": "json",
    }
    with balanced(tmp_path, **settings) as (client, processes):
        task_id = client.start()
        thread, seen = follow(client.url, task_id)
        eventually(lambda: seen.text == "Lost")
        frozen = that_runs(processes)
        (awake,) = [log for log in processes if log != frozen]
        processes[frozen].send_signal(signal.SIGSTOP)
        gate.open()
        # Through the other one alone: the balancer does not know who is frozen.
        url_of_other = found_in(awake)
        thread_of_other, seen_by_other = follow(url_of_other, task_id)
        thread_of_other.join(within(30))
        _was_finished_by_another(seen_by_other)
        processes[frozen].send_signal(signal.SIGCONT)
        eventually(lambda: "attempt superseded" in frozen.read_text())
        with Client(url_of_other) as other:
            late = other.events(task_id)
        assert [(e.id, e.data) for e in late.logged] == [
            (e.id, e.data) for e in seen_by_other.logged
        ]
        thread.join(within(30))
        assert [e.id for e in seen.logged] == [e.id for e in late.logged]


@pytest.mark.soak
def test_a_stop_gives_running_tasks_to_the_other_at_once(
    tmp_path: Path, redis_url: str, upstream: Upstream
) -> None:
    """No lease has to lapse: the attempt is given back, streams end and go on elsewhere."""
    upstream.then(Script([piece("Lost"), Gate()]))
    settings = {"REDIS_URL": redis_url, "OPENAI_BASE_URL": upstream.url, "LONGTASK_LEASE": "600"}
    with balanced(tmp_path, **settings) as (client, processes):
        thread, seen = follow(client.url, client.start())
        eventually(lambda: seen.text == "Lost")
        log = that_runs(processes)
        processes[log].terminate()
        assert processes[log].wait(within(20)) == 0
        thread.join(within(30))
        assert not thread.is_alive()
        assert "Traceback" not in log.read_text()
    _was_finished_by_another(seen)


@pytest.mark.soak
def test_a_worker_that_is_killed_is_replaced_and_its_task_finished(
    tmp_path: Path, redis_url: str, upstream: Upstream
) -> None:
    upstream.then(Script([piece("Lost"), Gate()]))
    settings = {
        "REDIS_URL": redis_url,
        "OPENAI_BASE_URL": upstream.url,
        "LONGTASK_QSTASH_RETRY_DELAY": "100",
        "LONGTASK_LEASE": "1.5",
        "LONGTASK_LOG_FORMAT": "json",
    }
    words = ("serve", "--port", "0", "--workers", "2")
    with process_of(tmp_path, *words, **settings) as (process, log):
        url = found_in(log)
        with Client(url) as client:
            task_id = client.start()
        thread, seen = follow(url, task_id)
        eventually(lambda: seen.text == "Lost")
        workers = _children(process.pid)
        assert len(workers) == 2
        for worker in workers:
            os.kill(worker, signal.SIGKILL)
        thread.join(within(40))
        assert not thread.is_alive()
        replaced = _children(process.pid)
        process.terminate()
        assert process.wait(within(20)) == 0
        assert len(replaced) == 2
        assert not [pid for pid in replaced if Path(f"/proc/{pid}").exists()]
    _was_finished_by_another(seen)


def _children(pid: int) -> list[int]:
    """The workers of a supervisor."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children if b"spawn_main" in _words_of(child)]


def _words_of(pid: str) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()
