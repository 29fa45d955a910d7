"""Runs a Python program with a window into its process: what it holds, by the garbage collector.

    python -m benchmarks.inside SOCKET python -m entrypoints.cli serve

Each connection to the socket gets one JSON object and is closed. What was made before `gc.freeze`
(the modules and the parts of the service) is not counted: counts are of what comes and goes.
"""

import asyncio
import gc
import json
import runpy
import socket
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

OURS = ("domain", "application", "adapters", "entrypoints")
"""Packages whose objects are counted by type."""
COLLECT, LEAVE = b"c", b"l"
"""What the service is told: to collect garbage before it counts, or to leave it."""


def counts() -> dict[str, Any]:
    """Count the objects of this process: all that the collector sees, asyncio tasks that have not
    ended, and those of the service's own types."""
    objects = gc.get_objects()
    total, tasks = len(objects), 0
    ours: Counter[str] = Counter()
    for each in objects:
        kind = type(each)
        if kind is asyncio.Task:
            tasks += not each.done()
        elif str(kind.__module__).partition(".")[0] in OURS:
            ours[f"{kind.__module__}.{kind.__qualname__}"] += 1
    return {"objects": total, "tasks": tasks, "ours": ours}


def answer(listener: socket.socket) -> None:
    while True:
        connection, _ = listener.accept()
        with connection:
            if connection.recv(1) == COLLECT:
                gc.collect()
            connection.sendall(json.dumps(counts()).encode())


def look(path: Path, *, collected: bool) -> dict[str, Any]:
    """Return the counts of the process whose socket that is. `collected`: those without garbage.
    Raises OSError."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(60)
        connection.connect(str(path))
        connection.sendall(COLLECT if collected else LEAVE)
        data = b""
        while piece := connection.recv(65_536):
            data += piece
    found: dict[str, Any] = json.loads(data)
    return found


def main() -> None:
    _, path, _, _, module, *words = sys.argv
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    threading.Thread(target=answer, args=(listener,), daemon=True).start()
    sys.argv = [module, *words]
    runpy.run_module(module, run_name="__main__")


if __name__ == "__main__":
    main()
