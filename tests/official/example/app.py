"""examples/next-chat, built from npm's registry as a reader builds it, and running."""

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.official.node.clients import install
from tests.processes import found_in
from tests.waiting import within

EXAMPLE = Path(__file__).parents[3] / "examples" / "next-chat"
NEXT = "node_modules/next/dist/bin/next"
MADE = {"node_modules", ".next", "next-env.d.ts", "tsconfig.tsbuildinfo", ".env.local"}
"""What is there only if the example was run in its own folder."""


def built(cache: Path, node: str) -> Path:
    """Return the folder of the built app. It is built anew only if the example has changed.
    `node` is a program that is new enough for it."""
    files = {
        path.relative_to(EXAMPLE): path.read_bytes()
        for path in sorted(EXAMPLE.rglob("*"))
        if path.is_file() and MADE.isdisjoint(path.relative_to(EXAMPLE).parts)
    }
    digest = hashlib.sha256(repr(files).encode()).hexdigest()
    folder, stamp = cache / "app", cache / "built"
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one worker builds, the others wait
        if not stamp.exists() or stamp.read_text() != digest:
            stamp.unlink(missing_ok=True)
            _lay_out(files, folder)
            install(folder)
            done = subprocess.run(  # noqa: S603
                [node, NEXT, "build"],
                cwd=folder,
                env=_environment(folder),
                capture_output=True,
                text=True,
                timeout=within(300),
                check=False,
            )
            assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"  # also by its types
            stamp.write_text(digest)
    return folder


def _lay_out(files: dict[Path, bytes], folder: Path) -> None:
    """Write the example's files. Keeps the packages, which `install` then brings up to date."""
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        if old.is_dir() and old.name != "node_modules":
            shutil.rmtree(old)
        elif old.is_file():
            old.unlink()
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)


def _environment(folder: Path, **settings: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    return {**kept, "HOME": str(folder), "NEXT_TELEMETRY_DISABLED": "1", **settings}


@contextmanager
def running_app(node: str, folder: Path, log: Path, **settings: str) -> Iterator[str]:
    """The address of the built app, as `npm start` runs it, but on a free port."""
    with log.open("w") as output:
        process = subprocess.Popen(  # noqa: S603
            [node, NEXT, "start", "--hostname", "127.0.0.1", "--port", "0"],
            cwd=folder,
            env=_environment(folder, **settings),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
        try:
            yield found_in(log, r"Local:\s+(http://127\.0\.0\.1:[1-9]\d*)")
        finally:
            process.terminate()
            process.wait(within(20))
