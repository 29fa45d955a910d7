"""One check process: start it, ask it, end it."""

import asyncio
import contextlib
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from pathlib import Path
from typing import Self

from adapters.json_schema.check import DOES_NOT_FIT, FITS, READY, SIZES, UNKNOWN

PROGRAM = Path(__file__).with_name("check.py")
TOO_LONG = "it took too long"
ANSWERS = {FITS: True, DOES_NOT_FIT: False, UNKNOWN: None}


class Unchecked(Exception):
    """Raised when a check could not be made. Its text says why."""


class CheckProcess:
    def __init__(self, process: Process) -> None:
        assert process.stdin is not None  # noqa: S101  (a pipe)
        assert process.stdout is not None  # noqa: S101
        self._process = process
        self._questions = process.stdin
        self._answers = process.stdout

    @classmethod
    async def start(cls, cpu_limit: float) -> Self:
        """Start a process that ends itself when a check has taken `cpu_limit` seconds of a
        processor. Raises OSError.

        It has a session of its own, so that Ctrl-C on a terminal does not reach it: the service may
        go on with its attempts. It ends when its input is closed. What native code writes into
        stderr as it crashes may contain an answer, and goes nowhere."""
        return cls(
            await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",
                str(PROGRAM),
                str(cpu_limit),
                stdin=PIPE,
                stdout=PIPE,
                stderr=DEVNULL,
                start_new_session=True,
            )
        )

    @property
    def running(self) -> bool:
        return self._process.returncode is None and not self._questions.is_closing()

    async def ready(self) -> None:
        """Return when a process that was started can be asked. Raises Unchecked."""
        if await self._answers.read(1) != READY:
            raise Unchecked("the process did not start")

    async def ask(self, schema: bytes, text: bytes) -> bool | None:
        """Return what `check.verdict` returns. Raises Unchecked or OSError. After that, and after a
        cancellation, the process is of no further use."""
        self._questions.writelines((SIZES.pack(len(schema), len(text)), schema, text))
        await self._questions.drain()
        answer = await self._answers.read(1)
        if answer not in ANSWERS:
            raise Unchecked(_reason(await self._process.wait()))
        return ANSWERS[answer]

    def kill(self) -> None:
        """Kill the process. Safe to call twice."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def ended(self) -> None:
        """Return when the process has ended."""
        self._questions.close()
        await self._process.wait()


def _reason(exit_code: int) -> str:
    try:
        name = signal.Signals(-exit_code).name
    except ValueError:
        name = str(exit_code)
    return TOO_LONG if name == "SIGPROF" else f"the process ended ({name})"
