"""`longtask tasks` at a real service: the list, and the tasks as they change."""

import json
import re
import signal
from pathlib import Path
from typing import Any

import pytest

from entrypoints.task_commands import tasks, wanted
from tests.commands import invoke
from tests.doubles.destination import Answer, Destination
from tests.doubles.upstream import Gate, Script, Upstream, answer, refusal
from tests.processes import process_at_a_terminal, process_of
from tests.running import Running, running_service, settings_for
from tests.tcp_proxy import TcpProxy
from tests.waiting import eventually, within

HOSTILE = "[bold red]x[/] \x1b]0;owned\x07\u202e"
SHOWN = r"[bold red]x[/] \x1b]0;owned\x07\u202e"
CONTROLS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
"""What rich itself sends to a terminal."""


def listed(tmp_path: Path, service: Running, *words: str) -> list[dict[str, Any]]:
    done = invoke(tmp_path, "tasks", "--json", *words, "--server", service.url)
    assert done.exit_code == 0
    return [json.loads(each) for each in done.stdout.splitlines()]


def test_a_pipe_gets_a_line_for_each_task(tmp_path: Path, service: Running) -> None:
    first = service.client.start(HOSTILE)
    record = service.client.wait_for(first, "completed")
    second = service.client.start("Hi.")
    service.client.wait_for(second, "completed")
    done = invoke(tmp_path, "tasks", "--server", service.url)
    assert (done.exit_code, done.stderr) == (0, "")
    lines = [each.split("\t") for each in done.stdout.splitlines()]
    assert [each[:4] for each in lines] == [
        [second, "completed", "Hi.", "test-model"],
        [first, "completed", SHOWN, "test-model"],
    ]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", lines[0][4])
    assert re.fullmatch(r"\d+\.\d", lines[0][5])
    assert lines[1][6] == str(record["usage"]["totalTokens"])
    page = service.client.http.get("/api/tasks").json()
    assert listed(tmp_path, service) == page["tasks"]


def test_filters_and_pages(
    tmp_path: Path, service: Running, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wanted, "PAGE_LIMIT", 2)
    monkeypatch.setattr(tasks, "PAGE_LIMIT", 2)
    upstream.then(refusal(401, "invalid_api_key"))
    failed = service.client.start("Hi.")
    service.client.wait_for(failed, "failed")
    others = [service.client.start("Hi.", metadata={"n": str(n % 2)}) for n in range(4)]
    for each in others:
        service.client.wait_for(each, "completed")
    newest_first = [
        each["taskId"] for each in service.client.http.get("/api/tasks").json()["tasks"]
    ]
    assert [each["taskId"] for each in listed(tmp_path, service, "--all")] == newest_first
    assert [each["taskId"] for each in listed(tmp_path, service, "--limit", "3")] == newest_first[
        :3
    ]
    some = invoke(tmp_path, "tasks", "--limit", "3", "--server", service.url)
    assert some.stderr == "there are more tasks: use --limit or --all\n"

    def ids(*words: str) -> set[str]:
        return {each["taskId"] for each in listed(tmp_path, service, *words)}

    assert ids("--status", "failed") == {failed}
    assert ids("--status", "failed", "--status", "completed") == {failed, *others}
    assert ids("--metadata", "n=1") == {others[1], others[3]}
    assert ids("--model", "test-model") == set(others)
    assert ids("--since", "1h") == {failed, *others}
    assert ids("--since", "2999-01-01") == set()
    none = invoke(tmp_path, "tasks", "--status", "cancelled", "--server", service.url)
    assert (none.exit_code, none.stdout, none.stderr) == (0, "", "no tasks match\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--status", "done"], "'done' is not one of 'pending', 'running', 'completed'"),
        (["--since", "soon\x1b"], r"'soon\x1b' is neither a time span such as 2h nor a date"),
        (["--since", "2026-13-01"], "'2026-13-01' is neither a time span"),
        (["--metadata", "n"], "must be KEY=VALUE"),
        (["--metadata", "n=1", "--metadata", "n=2"], "'n' has two values"),
        (["--limit", "0"], "0 is not in the range x>=1"),
        (["--all", "--limit", "3"], "--all goes with neither --limit nor --watch"),
        (["--watch", "--json", "--limit", "3"], "--limit goes with --watch at a terminal only"),
    ],
)
def test_a_wrong_command_line_is_told(tmp_path: Path, words: list[str], said: str) -> None:
    done = invoke(tmp_path, "tasks", *words, "--server", "http://127.0.0.1:1")
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in done.stderr


@pytest.mark.parametrize("words", [["tasks"], ["tasks", "--watch"], ["tasks", "--watch", "--json"]])
def test_a_list_that_is_closed_or_elsewhere_is_told(
    tmp_path: Path, upstream: Upstream, words: list[str]
) -> None:
    settings = settings_for(openai_base_url=upstream.url, base_url="https://tasks.example.org")
    with running_service(settings) as closed:
        done = invoke(tmp_path, *words, "--server", closed.url)
        no_tls = invoke(tmp_path, *words, "--server", closed.url.replace("http:", "https:"))
    assert "(ConnectError, [SSL: WRONG_VERSION_NUMBER]" in no_tls.stderr
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: 403: ")
    assert done.stderr.count("\n") == 1
    with Destination().running() as other:
        other.answers.append(Answer(body=b'{"tasks": [{"taskId": 1}], "next": null}'))
        done = invoke(tmp_path, *words, "--server", other.url)
    expected = "the server responded with 200, but not as Longtask does: is --server right?"
    assert (done.exit_code, done.stdout, done.stderr) == (1, "", f"Error: {expected}\n")
    done = invoke(tmp_path, *words, "--server", "http://127.0.0.1:1")
    assert done.exit_code == 1
    assert done.stderr.startswith("Error: cannot reach http://127.0.0.1:1 (ConnectError)")


def test_each_change_is_a_line_through_a_lost_connection(
    tmp_path: Path, service: Running, upstream: Upstream
) -> None:
    gates = [Gate(), Gate()]
    upstream.then(Script([gates[0], *answer("One.")]), Script([gates[1], *answer("Two.")]))
    with TcpProxy(int(service.url.rpartition(":")[2])).running() as between:
        first = service.client.start("One?")
        service.client.wait_for(first, "running")
        words = ["tasks", "--watch", "--json", "--server", between.url]
        with process_of(tmp_path, *words) as (process, log):

            def line() -> dict[str, Any]:
                return dict(json.loads(process.stdout.readline()))

            assert line()["task"] == listed(tmp_path, service)[0]
            between.refusing = True
            between.cut()
            eventually(lambda: "connection lost" in log.read_text())
            gates[0].open()
            service.client.wait_for(first, "completed")
            between.refusing = False
            told = line()
            assert (told["taskId"], told["task"]["status"]) == (first, "completed")
            assert int(told["id"]) > 0
            second = service.client.start("Two?")
            service.client.wait_for(second, "running")
            states = [line()["task"]["status"]]
            if states == ["pending"]:  # which may be left out
                states.append(line()["task"]["status"])
            assert states[-1] == "running"
            service.client.http.delete(f"/api/tasks/{second}")
            while (told := line())["type"] != "deleted":
                assert told["task"]["status"] == "cancelled"
            assert told["taskId"] == second
            process.send_signal(signal.SIGINT)
            assert process.wait(within(10)) == 130
            assert process.stdout.read() == ""
        assert "Traceback" not in log.read_text()
    gates[1].open()


def test_a_terminal_shows_a_live_table_that_fits(
    tmp_path: Path, service: Running, upstream: Upstream
) -> None:
    for _ in range(5):
        service.client.wait_for(service.client.start(HOSTILE), "completed")
    upstream.then(Script([Gate()]))
    last = service.client.start("Last?")
    service.client.wait_for(last, "running")
    size = {"COLUMNS": "140", "LINES": "7", "TERM": "xterm"}
    words = ["tasks", "--watch", "--server", service.url]
    with process_at_a_terminal(tmp_path, *words, **size) as (process, terminal, log):
        shown = terminal.until("Ctrl-C ends this view")
        service.client.http.post(f"/api/tasks/{last}/cancel")
        shown += terminal.until("cancelled")
        process.send_signal(signal.SIGINT)
        shown += terminal.rest()
        assert process.wait(within(10)) == 130
        assert log.read_text() == ""
    assert SHOWN in shown
    plain = CONTROLS.sub("", shown).replace("\r", "")
    assert plain.replace("\n", "").isprintable()
    table = plain[plain.rindex("ID ") :].splitlines()
    assert table[0].split() == ["ID", "STATUS", "TITLE", "MODEL", "AGE", "DURATION", "TOKENS"]
    assert len(table) == 5  # of seven lines, one is left below the table, and one for the cursor
    assert table[1].split()[:3] == [last, "cancelled", "Last?"]
    words = ["tasks", "--server", service.url]
    with process_at_a_terminal(tmp_path, *words, **size) as (process, terminal, _):
        whole = CONTROLS.sub("", terminal.rest()).splitlines()
    assert len(whole) == 7
    assert whole[1].startswith(last)


def test_a_terminal_whose_cursor_cannot_move_gets_lines(tmp_path: Path, service: Running) -> None:
    task_id = service.client.start("Hi.")
    service.client.wait_for(task_id, "completed")
    words = ["tasks", "--watch", "--server", service.url]
    with process_at_a_terminal(tmp_path, *words, TERM="dumb") as (process, terminal, _):
        assert terminal.until("\n").startswith(f"{task_id}\tcompleted\tHi.\t")
        process.send_signal(signal.SIGINT)
        assert process.wait(within(10)) == 130
