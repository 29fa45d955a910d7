"""`longtask serve` as it is started without any setting, killed or stopped under its tasks and
started again in the same folder: all of them end, and what had ended is there."""

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from domain.events import fold
from domain.failure import MAX_INTERRUPTIONS
from tests.doubles.upstream import Gate, Script, answer, piece, refusal
from tests.end_to_end.openai_client import openai_client
from tests.end_to_end.restarting import Home, Model, Reader, lost, refused_for_now, statuses
from tests.end_to_end.ui_client import Streamed, asking, send
from tests.end_to_end.ui_client import follow as follow_chat
from tests.native_events import event_of
from tests.official.reading import final_of, read
from tests.redis_server import LocalRedis
from tests.running import Client, Seen
from tests.waiting import eventually, within

MANY = "tokens=1000000"
"""A limit that nothing here reaches."""
PAUSE = 4
"""Seconds that the model asks to wait."""
FROZEN = 7.0
"""Seconds for which a process is frozen: beyond its lease, its orphan timeout, and the gap between
two looks at the clock that counts as time."""


@pytest.fixture
def model() -> Iterator[Model]:
    model = Model()
    with model.running():
        yield model


@dataclass
class Restarted:
    """What was there before a service was killed, then stopped, and what its readers saw."""

    url: str
    killed: Seen
    waiting: Seen
    stopped: Seen
    response: tuple[list[dict[str, Any]], list[dict[str, Any]]]
    """The events of a response before and after the kill, as openai-python told them."""
    response_id: str
    completion: Any
    """What openai-python returned of a call that was under way at the kill, and which it repeated
    by itself."""
    asked: int
    """How often the model was asked for that."""
    finished: tuple[dict[str, Any], Seen]
    """The record and the log of a task."""
    deleted: str
    chat: Streamed


@pytest.fixture(scope="module")
def restarted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Restarted]:
    """A service that was killed once and stopped once, in its fourth process."""
    model = Model()
    with model.running(), ThreadPoolExecutor() as calls:
        home = Home(tmp_path_factory.mktemp("restarted"), model, LONGTASK_ADDRESS_LIMITS=MANY)
        url = home.url
        with home.serving(LONGTASK_QSTASH_RETRIES="1") as process, Client(url) as client:
            finished = client.wait_for(start_with_key(client), "completed")
            log = client.events(finished["taskId"])
            deleted = client.start("deleted")
            client.wait_for(deleted, "completed")
            assert client.http.delete(f"/api/tasks/{deleted}").status_code == 204
            chat = send(url, asking("chat1"))
            model.then_to("killed", lost(), refusal(500))
            killed = Reader(url, client.start("killed"))
            waiting = client.start(model.then_to("waiting", refused_for_now(PAUSE)))
            with openai_client(url) as openai:
                model.then_to("response", lost())
                asked = openai.responses.create(model="m", input="response", background=True)
                before = read(openai, asked.id, count=6)
            model.then_to("completion", lost())
            completion = calls.submit(complete, url, "completion")
            eventually(lambda: model.asked("completion"))
            killed.until_text("Lost")
            eventually(lambda: client.record(waiting)["attempt"] == 1)
            client.wait_for(waiting, "pending")
            waited = Reader(url, waiting)
            process.kill()
        with home.serving(LONGTASK_QSTASH_RETRIES="0") as process, Client(url) as client:
            with openai_client(url) as openai:
                after = read(openai, asked.id, before[-1]["sequence_number"])
            stopped = Reader(url, client.start(model.then_to("stopped", lost())))
            stopped.until_text("Lost")
            was_killed, has_waited = killed.whole(), waited.whole()
            completed = completion.result(within(30))
            process.send_signal(signal.SIGINT)
            assert process.wait(within(20)) == 0
            assert "Traceback" not in home.log.read_text()
        with home.serving():
            was_stopped = stopped.whole()
        with home.serving(LONGTASK_ADDRESS_LIMITS="tokens=1"):
            yield Restarted(
                url,
                was_killed,
                has_waited,
                was_stopped,
                (before, after),
                asked.id,
                completed,
                model.asked("completion"),
                (finished, log),
                deleted,
                chat,
            )


def complete(url: str, prompt: str) -> Any:
    with openai_client(url, max_retries=8) as client:
        return client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": prompt}]
        )


def start_with_key(client: Client) -> str:
    reply = client.http.post(
        "/api/tasks/start", json={"prompt": "finished"}, headers={"Idempotency-Key": "one"}
    )
    assert reply.status_code == 202, reply.text
    return str(reply.json()["taskId"])


def test_a_running_task_goes_on_after_a_kill_which_costs_no_attempt(restarted: Restarted) -> None:
    """It has two attempts, and the second one that counts fails the first time."""
    assert statuses(restarted.killed) == [
        "pending",
        "running",
        "pending restarted",
        "running",
        "pending model_error",
        "running",
        "completed",
    ]
    assert restarted.killed.logged[-1].data["data"] == "Hello, world."


def test_a_retry_is_waited_for_over_a_kill(restarted: Restarted) -> None:
    assert statuses(restarted.waiting) == [
        "pending",
        "running",
        "pending rate_limited",
        "running",
        "completed",
    ]
    *_, lost, again, _ = [e.data for e in restarted.waiting.logged if e.type == "status"]
    assert again["timestamp"] - lost["timestamp"] > PAUSE * 1000 - 10


def test_a_stop_requeues_a_running_task_that_has_a_single_attempt(restarted: Restarted) -> None:
    assert statuses(restarted.stopped) == [
        "pending",
        "running",
        "pending shutting_down",
        "running",
        "completed",
    ]


def test_openais_client_resumes_a_response_over_a_kill(restarted: Restarted) -> None:
    before, after = restarted.response
    with openai_client(restarted.url) as client:
        assert [*before, *after] == read(client, restarted.response_id)
    assert final_of([*before, *after])["output"][-1]["content"][0]["text"] == "Hello, world."


def test_a_call_that_an_sdk_repeats_after_a_kill_joins_its_task(restarted: Restarted) -> None:
    assert restarted.completion.choices[0].message.content == "Hello, world."
    assert restarted.asked == 2


def test_what_had_ended_is_there(restarted: Restarted) -> None:
    record, log = restarted.finished
    with Client(restarted.url) as client:
        assert client.record(record["taskId"]) == record
        assert client.events(record["taskId"]).logged == log.logged
        assert client.http.get(f"/api/tasks/{restarted.deleted}").status_code == 404
    assert follow_chat(restarted.url, "chat1").chunks == restarted.chat.chunks


def test_keys_and_limits_are_kept(restarted: Restarted) -> None:
    with Client(restarted.url) as client:
        assert start_with_key(client) == restarted.finished[0]["taskId"]
        refused = client.http.post("/api/tasks/start", json={"prompt": "another"})
    assert refused.json()["type"] == "urn:longtask:problem:too-many-tokens"


def dies_in_attempt(number: int, process: subprocess.Popen[str], model: Model) -> None:
    eventually(lambda: len(model.received) == number)
    process.kill()


@pytest.mark.soak
def test_a_second_ctrl_c_stops_at_once_and_in_order(tmp_path: Path, model: Model) -> None:
    home = Home(tmp_path, model, LONGTASK_GRACE="600")
    with home.serving() as process, Client(home.url) as client:
        reader = Reader(home.url, client.start(model.then_to("impatient", lost())))
        reader.until_text("Lost")
        for told in ("stopping; a second", "stopping at once"):
            process.send_signal(signal.SIGINT)
            eventually(partial(home.says, told))
        assert process.wait(within(20)) == 0
    assert not home.says('"level": "error"')
    with home.serving():
        assert "pending shutting_down" in statuses(reader.whole())


@pytest.mark.soak
def test_a_task_whose_process_dies_each_time_fails(tmp_path: Path, model: Model) -> None:
    home = Home(tmp_path, model)
    model.always = lost()
    with home.serving() as process, Client(home.url) as client:
        task_id = client.start("poison")
        dies_in_attempt(1, process, model)
    for attempt in range(2, MAX_INTERRUPTIONS + 2):
        with home.serving() as process:
            dies_in_attempt(attempt, process, model)
    with home.serving(), Client(home.url) as client:
        record = client.wait_for(task_id, "failed")
        assert record["error"]["code"] == "restarted_too_often"
        assert record["attempt"] == MAX_INTERRUPTIONS + 1
        assert fold(event_of(event.data) for event in client.events(task_id).logged).closed
        assert 'longtask_tasks_total{status="failed"} 1.0' in client.http.get("/metrics").text


@pytest.mark.soak
def test_a_process_that_was_frozen_for_long_loses_no_task(tmp_path: Path, model: Model) -> None:
    gate = Gate()
    home = Home(tmp_path, model, LONGTASK_LEASE="1", LONGTASK_ORPHAN_TIMEOUT="5")
    with home.serving() as process, Client(home.url) as client:
        script = Script([piece("Hello"), gate, *answer(".")])
        running = Reader(home.url, client.start(model.then_to("running", script)))
        waiting = Reader(home.url, client.start(model.then_to("waiting", refused_for_now(1))))
        running.until_text("Hello")
        eventually(lambda: "pending rate_limited" in statuses(waiting.seen))
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
        threading.Event().wait(FROZEN)  # the time is what is tested
        process.send_signal(signal.SIGCONT)
        # As a page asks that was open meanwhile: a read is what fails an orphaned task.
        assert client.record(waiting.task_id)["status"] != "failed"
        assert client.record(running.task_id)["status"] == "running"
        gate.open()
        assert statuses(running.whole()) == ["pending", "running", "completed"]
        assert statuses(waiting.whole())[-2:] == ["running", "completed"]


@pytest.mark.soak
def test_a_queue_in_the_file_goes_on_with_tasks_in_redis(
    tmp_path: Path, own_redis: LocalRedis, model: Model
) -> None:
    home = Home(tmp_path, model, REDIS_URL=own_redis.url, LONGTASK_LEASE="1")
    with home.serving(REDIS_URL=""), Client(home.url) as client:
        client.wait_for(client.start("in the file"), "completed")
        assert not home.says("cannot be read")
    with home.serving() as process, Client(home.url) as client:
        running = Reader(home.url, client.start(model.then_to("running", lost())))
        waiting = Reader(home.url, client.start(model.then_to("waiting", refused_for_now(1))))
        running.until_text("Lost")
        eventually(lambda: "pending rate_limited" in statuses(waiting.seen))
        assert home.says("cannot be read")
        assert home.says('"tasks": 1')
        process.kill()
    with home.serving():
        assert statuses(running.whole()) == [
            "pending",
            "running",
            "pending lease_lapsed",
            "running",
            "completed",
        ]
        assert statuses(waiting.whole())[-2:] == ["running", "completed"]
