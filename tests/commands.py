"""The commands inside this process, for the many cases that need no process of their own to start:
the imports of one take most of a second. (tests/processes.py runs them as a person does.)"""

import contextlib
from pathlib import Path

from click.testing import CliRunner, Result

from entrypoints.cli import main


def invoke(folder: Path, *words: str, **settings: str) -> Result:
    """Run a command in a folder, with these settings and none of the machine's. By default it keeps
    nothing on disk."""
    given = {"LONGTASK_DATA": "memory", **settings}
    with contextlib.chdir(folder):
        return CliRunner().invoke(main, words, env=given, catch_exceptions=False)
