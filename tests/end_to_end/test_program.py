"""The program `longtask` while it loads what it needs."""

import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest

from entrypoints.cli import COMMANDS, main
from tests.processes import process_of
from tests.waiting import eventually, within

INTERRUPTED = """
import os, signal, sys
from importlib.abc import MetaPathFinder
from entrypoints.program import main

class Interrupting(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "entrypoints.cli":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
main()
"""


def test_ctrl_c_while_it_loads_ends_it_without_a_traceback() -> None:
    ended = subprocess.run(  # noqa: S603
        [sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "")


@pytest.mark.parametrize("words", [("serve",), ("local-qstash", "--data", "longtask.db")])
def test_ctrl_c_before_a_server_listens_ends_it_quietly(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    settings = {"LONGTASK_DATA": "longtask.db"}
    with process_of(tmp_path, *words, "--port", "0", **settings) as (process, log):
        eventually((tmp_path / "longtask.db-wal").exists)
        process.send_signal(signal.SIGINT)
        assert process.wait(within(20)) in (0, 130)
    assert "Traceback" not in log.read_text()
    assert "Aborted" not in log.read_text()


def test_a_service_does_not_wait_for_the_modules_of_another_store(tmp_path: Path) -> None:
    settings = {"LONGTASK_DATA": "longtask.db", "PYTHONPROFILEIMPORTTIME": "1"}
    with process_of(tmp_path, "serve", "--port", "0", **settings) as (process, log):
        eventually(lambda: "listening" in log.read_text())
        process.terminate()
        process.wait(within(20))
    loaded = {line.rpartition("|")[2].strip() for line in log.read_text().splitlines()}
    assert "litestar" in loaded
    assert not {"redis", "upstash_redis", "openai"} & loaded


def test_it_runs_a_command() -> None:
    said = subprocess.run(
        [sys.executable, "-c", "from entrypoints.program import main; main()", "--version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "version" in said.stdout


def test_each_command_is_where_it_is_imported_from() -> None:
    context = click.Context(main)
    for name in COMMANDS:
        command = main.get_command(context, name)
        assert command is not None
        assert command.name == name


@pytest.mark.parametrize("command", ["ask", "show", "tasks"])
def test_a_client_does_not_wait_for_the_modules_of_the_service(command: str) -> None:
    program = (
        "import sys; from entrypoints.cli import main; "
        f"main(['{command}', '--help'], standalone_mode=False); "
        "print({'litestar', 'redis', 'openai', 'pydantic'} & set(sys.modules))"
    )
    said = subprocess.run(  # noqa: S603
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert said.stdout.splitlines()[-1] == "set()"
