"""`longtask login`: the server and key of the commands, in one place."""

import json
import os
import pty
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from entrypoints.cli import main
from tests.commands import invoke
from tests.doubles.destination import Answer, Destination
from tests.doubles.upstream import Upstream
from tests.end_to_end.guarded import ALICE, BOB, alices
from tests.processes import environment, longtask
from tests.running import Running
from tests.waiting import eventually, within


@pytest.fixture(scope="module")
def guarded(shared_upstream: Upstream) -> Iterator[Running]:
    """It wants an API key; its client is Alice."""
    with alices(shared_upstream) as running:
        yield running


@pytest.fixture
def other() -> Iterator[Destination]:
    """A server that is no Longtask."""
    with Destination().running() as server:
        yield server


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def kept(tmp_path: Path) -> Any:
    file = tmp_path / "config" / "longtask" / "login.json"
    return json.loads(file.read_text()) if file.exists() else None


def log_in(*words: str, key: str) -> Result:
    return CliRunner().invoke(main, ["login", *words], input=key, catch_exceptions=False)


def test_a_login_serves_all_commands(tmp_path: Path, guarded: Running) -> None:
    done = log_in("--server", guarded.url.removeprefix("http://"), key=f" {ALICE}\r\n")
    assert (done.exit_code, done.stdout) == (0, "")
    file = tmp_path / "config" / "longtask" / "login.json"
    assert done.stderr == f"logged in to {guarded.url}, kept in {file}\n"
    assert kept(tmp_path) == {"server": guarded.url, "key": ALICE}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert [each.name for each in file.parent.iterdir()] == [file.name]
    started = invoke(tmp_path, "ask", "Hi.", "--detach")
    task_id = started.stdout.strip()
    assert started.stderr == f"follow it with: longtask follow {task_id}\n"
    assert invoke(tmp_path, "follow", task_id).stdout == "Hello, world.\n"
    assert invoke(tmp_path, "ask", "Hi.").stdout == "Hello, world.\n"
    # An option comes before the environment, and both before the login.
    foreign = invoke(tmp_path, "show", task_id, LONGTASK_KEY=BOB)
    assert foreign.stderr == "Error: 404: There is no task with this id.\n"
    own = invoke(tmp_path, "show", task_id, "--key", ALICE, LONGTASK_KEY=BOB)
    assert own.exit_code == 0
    away = invoke(tmp_path, "show", task_id, LONGTASK_SERVER="http://127.0.0.1:1")
    assert "cannot reach http://127.0.0.1:1 (" in away.stderr
    back = {"LONGTASK_SERVER": "http://127.0.0.1:1"}
    assert invoke(tmp_path, "show", task_id, "--server", guarded.url, **back).exit_code == 0
    assert invoke(tmp_path, "logout").stderr == "logged out\n"
    assert kept(tmp_path) is None
    assert invoke(tmp_path, "logout").stderr == "there is no login\n"
    refused = invoke(tmp_path, "show", task_id, "--server", guarded.url)
    assert refused.stderr == (
        "Error: 401: An API key is required: Authorization: Bearer <key>. "
        "(set --key or LONGTASK_KEY, or use `longtask login`)\n"
    )


def test_the_key_of_a_login_goes_to_its_server_only(
    tmp_path: Path, guarded: Running, other: Destination
) -> None:
    assert log_in("--server", guarded.url, key=ALICE).exit_code == 0
    assert invoke(tmp_path, "show", "x", "--server", other.url).exit_code == 1
    assert invoke(tmp_path, "show", "x", LONGTASK_SERVER=other.url).exit_code == 1
    assert len(other.delivered) == 2
    assert not any("authorization" in each.headers for each in other.delivered)


def test_the_service_of_a_folder_is_sent_no_key(tmp_path: Path, other: Destination) -> None:
    (tmp_path / ".env").write_text(f"LONGTASK_PORT={other.url.rpartition(':')[2]}\n")
    other.answers.append(Answer(401, body=b'{"error": "An API key is required."}'))
    done = invoke(tmp_path, "show", "x", LONGTASK_KEY=ALICE)
    assert "authorization" not in other.delivered[0].headers
    assert f"(name this service with --server {other.url}, and set --key" in done.stderr


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("lt_wrong", "401: The API key is not known. (the login is as it was before)"),
        ("", "401: An API key is required"),
        ("two\x00words", "the API key must be ASCII"),
        ("schlüssel", "the API key must be ASCII"),
    ],
)
def test_a_key_that_is_refused_is_not_kept(
    tmp_path: Path, guarded: Running, key: str, said: str
) -> None:
    done = log_in("--server", guarded.url, key=key)
    assert done.exit_code == 1
    assert said in done.stderr
    assert key not in done.stderr or not key
    assert kept(tmp_path) is None


def test_a_server_that_is_none_is_not_kept(tmp_path: Path, other: Destination) -> None:
    for server, said in (
        (other.url, "not as Longtask does"),
        ("http://127.0.0.1:1", "cannot reach"),
        ("ftp://x", "is not the URL of a service"),
    ):
        done = log_in("--server", server, key=ALICE)
        assert (done.exit_code, said in done.stderr) == (1, True)
    assert log_in(key=ALICE).exit_code == 2
    assert kept(tmp_path) is None


@pytest.mark.parametrize("written", ["", "[]", '{"server": 1}'])
def test_a_login_that_cannot_be_read_is_told(tmp_path: Path, written: str) -> None:
    file = tmp_path / "config" / "longtask" / "login.json"
    file.parent.mkdir(parents=True)
    file.write_text(written)
    done = invoke(tmp_path, "show", "x")
    expected = f"{file} is not as `longtask login` writes it: log in again, or remove it"
    assert (done.exit_code, done.stderr) == (1, f"Error: {expected}\n")


def test_a_login_that_cannot_be_kept_is_told(
    tmp_path: Path, guarded: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", os.devnull)
    done = log_in("--server", guarded.url, key=ALICE)
    assert done.exit_code == 1
    assert done.stderr.startswith("Error: cannot write /dev/null/longtask/login.json: ")


@pytest.mark.soak
def test_a_terminal_shows_no_key(tmp_path: Path, guarded: Running) -> None:
    ours, its = pty.openpty()
    log = tmp_path / "login.log"
    with log.open("w") as stderr:
        process = subprocess.Popen(  # noqa: S603
            longtask("login"),
            cwd=tmp_path,
            env=environment(XDG_CONFIG_HOME=str(tmp_path / "config")),
            stdin=its,
            stdout=its,
            stderr=stderr,
            start_new_session=True,  # so that /dev/tty is not that of the tests
        )
        os.close(its)
        try:
            eventually(lambda: log.read_text().endswith("Server: "))
            os.write(ours, f"{guarded.url}\n".encode())
            eventually(lambda: log.read_text().endswith("empty for none): "))
            os.write(ours, f"{ALICE}\n".encode())
            assert process.wait(within(10)) == 0
            echoed = os.read(ours, 10_000).decode()
        finally:
            process.kill()
            process.wait()
            os.close(ours)
    assert guarded.url in echoed
    assert ALICE not in echoed + log.read_text()
    assert kept(tmp_path) == {"server": guarded.url, "key": ALICE}
