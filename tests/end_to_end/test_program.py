"""The program `longtask` while it loads what it needs."""

import signal
import subprocess
import sys

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
    assert (ended.returncode, ended.stdout, ended.stderr) == (-signal.SIGINT, "", "")


def test_it_runs_a_command() -> None:
    said = subprocess.run(
        [sys.executable, "-c", "from entrypoints.program import main; main()", "--version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "version" in said.stdout
