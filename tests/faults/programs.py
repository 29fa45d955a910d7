"""The programs of a world, each a process that can be broken."""

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

import httpx

from tests.processes import environment, longtask
from tests.waiting import within


class Program:
    """One of our commands as a process, which may be killed, frozen, stopped and started."""

    def __init__(self, folder: Path, name: str, port: int, *words: str, **settings: str) -> None:
        self.name = name
        self.port = port
        self.log = folder / f"{name}.log"
        self._words = longtask(*words, "--port", str(port))
        self._environment = environment(**settings)
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.frozen = False
        self.started = 0.0
        """When it was started last (monotonic)."""

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        if self._process is None:
            self.started = time.monotonic()
            with self.log.open("a") as log:
                self._process = subprocess.Popen(  # noqa: S603
                    self._words, cwd=self._folder, env=self._environment, stderr=log
                )

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(within(10))
            self._process, self.frozen = None, False

    def exited(self) -> int | None:
        """Its exit status, told once, if it ended by itself; it can be started again then."""
        if self._process is None or (status := self._process.poll()) is None:
            return None
        self._process, self.frozen = None, False
        return status

    def answers(self, path: str) -> bool:
        with contextlib.suppress(httpx.HTTPError):
            url = f"http://127.0.0.1:{self.port}{path}"
            return httpx.get(url, timeout=within(5.0)).status_code == 200
        return False

    def freeze(self) -> None:
        """Stop all its threads, and wait until they stand still."""
        if self.alive:
            assert self._process is not None
            os.kill(self._process.pid, signal.SIGSTOP)
            os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
            self.frozen = True

    def thaw(self) -> None:
        if self._process is not None and self.frozen:
            os.kill(self._process.pid, signal.SIGCONT)
            self.frozen = False

    def stop(self) -> int:
        """Its exit status after the order to stop."""
        self.thaw()
        if self._process is None:
            return 0
        self._process.terminate()
        status = self._process.wait(within(30))
        self._process = None
        return status
