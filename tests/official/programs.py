"""Programs that drive an official client, each in a virtual environment of its own."""

import json
import os
import subprocess
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import within

ROOT = Path(__file__).parents[2]
_UNREACHABLE = ("connection broken by", "Could not fetch URL", "Failed to establish")
"""What pip says where it cannot reach the package index."""


def environment(cache: pytest.Cache, *packages: str) -> Path:
    """The interpreter of an environment that has these packages, as new as they are today. It is
    kept for the next run. Skips the test if the package index cannot be reached."""
    folder = cache.mkdir("official-" + "-".join(packages).replace("==", "-"))
    interpreter = folder / "bin" / "python"
    if not interpreter.exists():
        venv.create(folder, with_pip=True)
    install = [str(interpreter), "-m", "pip", "install", "--disable-pip-version-check", "--upgrade"]
    ran = subprocess.run(  # noqa: S603
        [*install, *packages], capture_output=True, text=True, check=False
    )
    if ran.returncode and any(each in ran.stdout + ran.stderr for each in _UNREACHABLE):
        pytest.skip("the package index cannot be reached")
    assert ran.returncode == 0, ran.stderr
    return interpreter


class Program:
    """It answers each line of JSON with a line of JSON."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def __call__(self, **case: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(case) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the program has ended"
        told: dict[str, Any] = json.loads(line)
        return told


@contextmanager
def running_program(interpreter: Path, name: str, url: str) -> Iterator[Program]:
    """Run a module of this package with another interpreter."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    with subprocess.Popen(  # noqa: S603
        [str(interpreter), "-m", f"tests.official.{name}", url],
        cwd=ROOT,
        env={**own, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield Program(process)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(within(20)) == 0
