"""`longtask show`, `follow`, `cancel`, `retry`, `delete` and `ask --detach` at a real service."""

import json
import os
import pty
import signal
import subprocess
from pathlib import Path

import httpx
import pytest

from tests.commands import invoke
from tests.doubles.destination import Destination
from tests.doubles.upstream import Gate, Script, Upstream, answer, piece, refusal
from tests.processes import environment, longtask, process_at_a_terminal, process_of
from tests.running import Running
from tests.tcp_proxy import TcpProxy
from tests.waiting import eventually, within

HOSTILE = "\x1b]0;owned\x07"
SHOWN = r"\x1b]0;owned\x07"
UNKNOWN = "There is no task with this id."


def test_a_detached_task_is_followed_and_shown(tmp_path: Path, service: Running) -> None:
    started = invoke(tmp_path, "ask", "Hi.", "--detach", "--server", service.url)
    assert started.exit_code == 0
    (task_id,) = started.stdout.splitlines()
    assert started.stderr == f"follow it with: longtask follow {task_id} --server {service.url}\n"
    followed = invoke(tmp_path, "follow", task_id, LONGTASK_SERVER=service.url)
    assert (followed.exit_code, followed.stdout) == (0, "Hello, world.\n")
    assert "stop: test-model, 5 tokens\n" in followed.stderr
    shown = invoke(tmp_path, "show", task_id, LONGTASK_SERVER=service.url)
    assert shown.exit_code == 0
    lines = shown.stdout.splitlines()
    assert lines[:3] == [
        f"task:     {task_id}",
        "status:   completed (stop), attempt 1",
        "model:    test-model",
    ]
    assert "prompt:   Hi." in lines
    assert lines[-2:] == ["", "Hello, world."]
    whole = invoke(tmp_path, "show", task_id, "--json", LONGTASK_SERVER=service.url)
    assert json.loads(whole.stdout) == service.client.record(task_id)


def test_the_service_of_this_folder_is_found(tmp_path: Path, service: Running) -> None:
    port = service.url.rpartition(":")[2]
    (tmp_path / ".env").write_text(f"LONGTASK_PORT={port}\n")
    started = invoke(tmp_path, "ask", "Hi.", "--detach", "--json")
    assert started.exit_code == 0
    task_id = json.loads(started.stdout)["taskId"]
    assert (invoke(tmp_path, "follow", task_id)).stdout == "Hello, world.\n"


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ("LONGTASK_PORT=1", "cannot reach http://127.0.0.1:1 (ConnectError): start it with"),
        ("LONGTASK_PORT=0", "no service is named"),
        ("LONGTASK_HOST=192.0.2.1", "no service is named"),
        ("LONGTASK_PORT=x", "correct these settings first:\nLONGTASK_PORT"),
    ],
)
def test_no_service_is_one_sentence(tmp_path: Path, env: str, said: str) -> None:
    (tmp_path / ".env").write_text(env)
    for words in (["show", "x"], ["follow", "x"], ["cancel", "x"], ["ask", "Hi.", "--detach"]):
        done = invoke(tmp_path, *words)
        assert (done.exit_code, done.stdout) == (1, "")
        assert done.stderr.startswith(f"Error: {said}")


def test_each_event_behind_one_is_a_line_of_json(tmp_path: Path, service: Running) -> None:
    task_id = service.client.start()
    logged = service.client.events(task_id).logged
    words = ["follow", task_id, "--server", service.url]
    done = invoke(tmp_path, *words, "--json", "--after", logged[1].id)
    assert (done.exit_code, done.stderr) == (0, "")
    lines = [json.loads(each) for each in done.stdout.splitlines()]
    assert lines == [{"id": each.id, **each.data} for each in logged[2:]]
    done = invoke(tmp_path, *words, "--json", "--after", logged[-1].id)
    assert (done.exit_code, done.stdout) == (0, "")
    done = invoke(tmp_path, *words, "--after", logged[-1].id)
    assert (done.exit_code, done.stdout) == (0, "Hello, world.\n")
    done = invoke(tmp_path, *words, "--after", "x y")
    assert done.exit_code == 2
    assert "'x y' is not an event id" in done.stderr


def test_the_end_of_a_task_is_the_exit_status(
    tmp_path: Path, service: Running, upstream: Upstream
) -> None:
    upstream.then(refusal(401, "invalid_api_key", HOSTILE), Script([piece(f"A{HOSTILE}"), Gate()]))
    failed = service.client.start()
    service.client.wait_for(failed, "failed")
    cancelled = service.client.start()
    service.client.events(cancelled, until=lambda seen: "content" in seen.types)
    done = invoke(tmp_path, "cancel", cancelled, cancelled, "--server", service.url)
    assert (done.exit_code, done.stdout) == (0, f"{cancelled}: cancelled\n")
    last = service.client.events(failed).logged[-1].id
    for after in ((), ("--after", last)):
        done = invoke(tmp_path, "follow", failed, *after, "--server", service.url)
        assert (done.exit_code, done.stdout) == (1, "")
        assert "(invalid_api_key)" in done.stderr
    done = invoke(tmp_path, "follow", cancelled, "--server", service.url)
    assert done.exit_code == 1
    assert "cancelled: " in done.stderr
    shown = invoke(tmp_path, "show", cancelled, "--server", service.url).stdout
    assert shown.endswith(f"\n\nA{SHOWN}\n")
    shown = invoke(tmp_path, "show", failed, "--server", service.url).stdout
    assert "\nfailed:   The model's server did not accept the API key. (invalid_api_key)" in shown


def test_a_failed_task_is_started_anew(
    tmp_path: Path, service: Running, upstream: Upstream
) -> None:
    upstream.then(refusal(401, "invalid_api_key"))
    failed = service.client.start()
    service.client.wait_for(failed, "failed")
    done = invoke(tmp_path, "retry", failed, "--server", service.url)
    assert done.exit_code == 0
    (task_id,) = done.stdout.splitlines()
    assert done.stderr == f"follow it with: longtask follow {task_id} --server {service.url}\n"
    service.client.wait_for(task_id, "completed")
    shown = invoke(tmp_path, "show", task_id, "--server", service.url).stdout
    assert f"\nretry of: {failed}\n" in shown
    refused = invoke(tmp_path, "retry", task_id, "--json", "--server", service.url)
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert refused.stderr.startswith("Error: 409: ")


def test_what_is_refused_of_many_is_named(tmp_path: Path, service: Running) -> None:
    tasks = [service.client.start() for _ in range(2)]
    for each in tasks:
        service.client.wait_for(each, "completed")
    done = invoke(tmp_path, "cancel", *tasks, "--server", service.url)
    assert done.exit_code == 1
    refused = "409: The task is completed and cannot be cancelled."
    assert done.stderr.splitlines() == [f"Error: {each}: {refused}" for each in tasks]
    done = invoke(tmp_path, "delete", tasks[0], "gone", tasks[1], "--json", "--server", service.url)
    assert done.exit_code == 1
    deleted = [{"taskId": each, "deleted": True} for each in tasks]
    assert [json.loads(each) for each in done.stdout.splitlines()] == deleted
    assert done.stderr == f"Error: gone: 404: {UNKNOWN}\n"
    for words in (["show"], ["follow"], ["cancel"], ["retry"], ["delete", "--yes"]):
        done = invoke(tmp_path, *words, tasks[0], "--server", service.url)
        assert (done.exit_code, done.stderr) == (1, f"Error: 404: {UNKNOWN}\n")
    done = invoke(tmp_path, "delete", "a", "b", "--server", "http://127.0.0.1:1")
    assert done.exit_code == 1
    assert done.stderr.count("cannot reach") == 1


@pytest.mark.parametrize(
    "odd", ["", "..", "../start", "x/cancel", "a?b", "x#", "ü", "\x1b[2J", "%2e"]
)
def test_what_is_no_id_is_not_sent(tmp_path: Path, odd: str) -> None:
    server = ["--server", "http://127.0.0.1:1"]
    for command in ("show", "follow", "cancel", "retry", "delete"):
        done = invoke(tmp_path, command, odd, *server)
        assert done.exit_code == 1
        assert done.stderr == "Error: a task id is 1 to 128 letters, digits, '-' or '_'\n"
    done = invoke(tmp_path, "delete", "start", *server)
    assert done.stderr == "Error: no task has the id 'start'\n"


def test_another_server_is_told(tmp_path: Path) -> None:
    for command in ("show", "follow", "cancel", "retry", "delete"):
        with Destination().running() as other:
            done = invoke(tmp_path, command, "x", "--server", other.url)
        assert done.exit_code == 1
        expected = "the server responded with 200, but not as Longtask does: is --server right?"
        assert done.stderr == f"Error: {expected}\n"


def test_interrupting_follow_leaves_the_task_alone(
    tmp_path: Path, service: Running, upstream: Upstream
) -> None:
    gates = [Gate(), Gate()]
    upstream.then(Script([piece("One "), gates[0], piece("two "), gates[1], *answer("three.")]))
    task_id = service.client.start()
    with TcpProxy(int(service.url.rpartition(":")[2])).running() as between:
        words = ["follow", task_id, "--server", between.url]
        with process_at_a_terminal(tmp_path, *words) as (process, terminal, log):
            assert terminal.read(4) == "One "
            between.cut()
            gates[0].open()
            assert terminal.read(4) == "two "
            process.send_signal(signal.SIGINT)
            assert terminal.rest() == "\n"
            assert process.wait(within(10)) == 130
        assert "resuming after the last event" in log.read_text()
    again = log.read_text().splitlines()[-1]
    assert again.startswith("the task goes on. Follow it again with: longtask follow")
    event_id = again.split()[again.split().index("--after") + 1]
    gates[1].open()
    done = invoke(
        tmp_path, "follow", task_id, "--json", "--after", event_id, "--server", service.url
    )
    said = [json.loads(each) for each in done.stdout.splitlines()]
    assert [each["data"] for each in said if each["type"] == "content"] == ["three."]
    assert service.client.record(task_id)["status"] == "completed"


@pytest.mark.soak
def test_a_pipe_that_closes_ends_follow_quietly(
    tmp_path: Path, service: Running, upstream: Upstream
) -> None:
    gate = Gate()
    upstream.then(Script([piece("One "), gate, *answer("two.")]))
    task_id = service.client.start()
    words = ["follow", task_id, "--json", "--server", service.url]
    with process_of(tmp_path, *words) as (process, log):
        assert json.loads(process.stdout.readline())["data"] == "pending"
        process.stdout.close()
        gate.open()
        process.wait(within(10))
        process.stdout = None
    assert log.read_text() == ""
    service.client.wait_for(task_id, "completed")


@pytest.mark.soak
def test_delete_asks_at_a_terminal(tmp_path: Path, service: Running) -> None:
    task_id = service.client.start()
    service.client.wait_for(task_id, "completed")

    def answered(text: bytes) -> int:
        ours, its = pty.openpty()
        log = tmp_path / "delete.log"
        with log.open("w") as stderr:
            process = subprocess.Popen(  # noqa: S603
                longtask("delete", task_id, "--server", service.url),
                cwd=tmp_path,
                env=environment(),
                stdin=its,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
            )
            os.close(its)
            try:
                eventually(lambda: f"Delete {task_id} for good? [y/N]: " in log.read_text())
                os.write(ours, text)
                return process.wait(within(10))
            finally:
                process.kill()
                process.wait()
                os.close(ours)

    assert answered(b"n\n") == 1
    assert service.client.record(task_id)["status"] == "completed"
    assert answered(b"y\n") == 0
    gone = httpx.get(f"{service.url}/api/tasks/{task_id}")
    assert gone.status_code == 404
