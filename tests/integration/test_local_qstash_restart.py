"""A local QStash with a file goes on, after it was killed, with everything that it had. Kills at
random are in test_local_qstash_kills.py."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.doubles.destination import Answer, Destination
from tests.integration.sdk import Sdk, one
from tests.processes import found_in, process_of, run_to_its_end
from tests.waiting import eventually

PAUSE = 4.0
"""Seconds until what waits is due: more than the queue needs to be killed and started."""


@contextmanager
def killed_at_the_end(tmp_path: Path) -> Iterator[Sdk]:
    options = ("--port", "0", "--json-logs", "--data", str(tmp_path / "queue.db"))
    with process_of(tmp_path, "local-qstash", *options) as (process, log):
        sdk = Sdk("sync", found_in(log))
        yield sdk
        process.kill()
        process.wait()
        sdk.close()


@pytest.mark.soak
def test_a_queue_that_was_killed_goes_on(tmp_path: Path, destination: Destination) -> None:
    url, gate = destination.url, threading.Event()
    with killed_at_the_end(tmp_path) as sdk:
        destination.answers.append(Answer(489, {"Upstash-NonRetryable-Error": "true"}, b"why"))
        sdk(
            "message.publish",
            url=f"{url}/dead",
            body="dead",
            failure_callback=f"{url}/callback/failure",
            failure_callback_headers={"Delay": f"{PAUSE:g}s"},
        )
        (letter,) = eventually(lambda: sdk("dlq.list").messages)
        named = sdk("message.publish", url=f"{url}/once", body="x", deduplication_id="one")
        one(destination, "/once")

        destination.answers.extend([Answer(gate=gate), Answer(gate=gate)])
        sdk("message.publish", url=f"{url}/flying", body="flying", retries=0)
        one(destination, "/flying")
        for number in range(3):
            sdk("message.enqueue", queue="in-order", url=f"{url}/q{number}", body="x", retries=0)
        one(destination, "/q0")

        destination.answers.append(Answer(500))
        delay = {"retries": 1, "retry_delay": f"{PAUSE * 1000:g}"}
        retried = sdk("message.publish", url=f"{url}/retried", body="again", **delay)
        eventually(lambda: sdk("message.get", retried.message_id).not_before > time.time() * 1000)
        later = time.time() + PAUSE
        sdk("message.publish", url=f"{url}/delayed", body="x", delay=f"{PAUSE:g}s")
        before = len(destination.delivered)

    gate.set()
    with killed_at_the_end(tmp_path) as sdk:
        eventually(lambda: len(destination.at("/flying")) == 2)
        again = destination.at("/flying")[1]
        assert (again.body, again.headers["upstash-retried"]) == (b"flying", "0")

        one(destination, "/q2")
        order = [each.path for each in destination.delivered[before:] if each.path[:2] == "/q"]
        assert order == ["/q0", "/q1", "/q2"]

        duplicate = sdk("message.publish", url=f"{url}/once", body="x", deduplication_id="one")
        assert (duplicate.message_id, duplicate.deduplicated) == (named.message_id, True)
        assert sdk("dlq.list").messages == [letter]
        assert (letter.body, letter.response_body) == ("dead", "why")

        told = json.loads(one(destination, "/callback/failure").body)
        assert told["dlqId"] == letter.dlq_id
        one(destination, "/delayed")
        assert time.time() >= later
        eventually(lambda: len(destination.at("/retried")) == 2)
        first, second = destination.at("/retried")
        assert second.at - first.at >= PAUSE
        assert (second.body, second.headers["upstash-retried"]) == (b"again", "1")

        sdk("message.publish", url=f"{url}/new", body="x")
        one(destination, "/new")
        assert len(destination.at("/once")) == 1


@pytest.mark.soak
def test_a_file_has_one_queue(tmp_path: Path) -> None:
    options = ("local-qstash", "--port", "0", "--data")
    with killed_at_the_end(tmp_path):
        done = run_to_its_end(tmp_path, *options, str(tmp_path / "queue.db"))
    assert (done.returncode, done.stdout) == (1, "")
    assert "queue.db" in done.stderr
    assert "Traceback" not in done.stderr
    done = run_to_its_end(tmp_path, *options, str(tmp_path / "nowhere" / "queue.db"))
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
