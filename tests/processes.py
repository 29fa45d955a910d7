"""The commands, each in a process of its own, with none of the machine's settings and no
login. By default they keep nothing on disk."""

import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.leaks import WATCH
from tests.waiting import eventually, within


def environment(**settings: str) -> dict[str, str]:
    kept = {
        name: os.environ[name]
        for name in ("PATH", "HOME", "LANG", "PYTHONPATH")
        if name in os.environ
    }
    ours = {"PYTHONUNBUFFERED": "1", "LONGTASK_DATA": "memory", "XDG_CONFIG_HOME": os.devnull}
    return {**kept, **ours, **settings}


PROGRAM = "entrypoints.program"


def longtask(*words: str, program: str = PROGRAM) -> list[str]:
    return [sys.executable, "-W", "error", "-m", program, *words]


def run_to_its_end(
    tmp_path: Path, *words: str, **settings: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603
        longtask(*words),
        cwd=tmp_path,
        env=environment(**settings),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=within(60),
        check=False,
    )


@contextmanager
def process_of(
    tmp_path: Path, *words: str, program: str = PROGRAM, **settings: str
) -> Iterator[tuple[Any, Path]]:
    """A command that goes on, and the file that its standard error goes to."""
    command = longtask(*words, program=program)
    with _running(command, tmp_path, words[0], settings) as running:
        yield running


@contextmanager
def process_with_files(
    files: int, tmp_path: Path, *words: str, **settings: str
) -> Iterator[tuple[Any, Path]]:
    """The same, with at most so many file descriptors."""
    limited = ["sh", "-c", f'ulimit -n {files} && exec "$@"', "sh", *longtask(*words)]
    with _running(limited, tmp_path, words[0], settings) as running:
        yield running


@contextmanager
def _running(
    command: list[str],
    tmp_path: Path,
    name: str,
    settings: dict[str, str],
    stdout: int = subprocess.PIPE,
) -> Iterator[tuple[Any, Path]]:
    log = tmp_path / f"{name}.log"
    with log.open("w") as stderr:
        process = subprocess.Popen(  # noqa: S603
            command,
            cwd=tmp_path,
            env=environment(**settings),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            text=True,
        )
        try:
            yield process, log
        finally:
            if process.poll() is None:
                process.kill()
            process.communicate()
            WATCH.look(f"the log of {name}", log.read_text())


class Terminal:
    """What a command writes to the terminal that is its standard output."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def read(self, size: int) -> str:
        """Wait for so many characters (of ASCII)."""
        read = b""
        while len(read) < size and (more := self._more(size - len(read))):
            read += more
        return read.decode()

    def until(self, text: str) -> str:
        """Wait for this text; return what came up to it."""
        read = b""
        while text.encode() not in read and (more := self._more(1024)):
            read += more
        return read.decode().replace("\r\n", "\n")

    def rest(self) -> str:
        """Wait until the command has closed it."""
        return b"".join(iter(lambda: self._more(1024), b"")).decode().replace("\r\n", "\n")

    def _more(self, size: int) -> bytes:
        try:
            return os.read(self._descriptor, size)
        except OSError:  # the other end is closed
            return b""


@contextmanager
def process_at_a_terminal(
    tmp_path: Path, *words: str, **settings: str
) -> Iterator[tuple[Any, Terminal, Path]]:
    """A command that goes on, the terminal that it writes to, and the file that its standard error
    goes to."""
    ours, its = pty.openpty()
    try:
        with _running(longtask(*words), tmp_path, words[0], settings, its) as (process, log):
            os.close(its)
            yield process, Terminal(ours), log
    finally:
        os.close(ours)


def found_in(log: Path, pattern: str = r'"url": "(http://[^"]+)"') -> str:
    match = eventually(lambda: re.search(pattern, log.read_text()))
    return match[1]
