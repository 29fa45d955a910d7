"""Whether the file that is open is still the one under its name.

A file that was deleted or replaced meanwhile (a backup that is restored while the service runs)
takes writes as before, and keeps none of them. What is worse, its write-ahead log stays under its
name, and the next start would apply it to the other file, which destroys that one.
"""

import contextlib
import os
import time
from pathlib import Path

LOOKED_AT_EVERY = 1.0
"""Seconds. A look costs a call of the system, which gives up the GIL."""
GONE = "it was deleted or replaced while it was open: restart the service"


class Identity:
    def __init__(self, path: Path) -> None:
        """`path`: of a file that was opened just now."""
        self._file = path.absolute()
        self._log = Path(f"{os.path.realpath(path)}-wal")
        self._seen = _of(self._file), _of(self._log)
        self._looked_at = time.monotonic()
        self._lost = False

    def lost(self, *, now_too: bool = False) -> bool:
        """Whether another file, or none, is under the name. Looks once in a while, unless it has
        to be known as it is now."""
        now = time.monotonic()
        if now_too or now - self._looked_at >= LOOKED_AT_EVERY:
            self._looked_at = now
            self._lost = _of(self._file) != self._seen[0]
        return self._lost

    def put_log_aside(self) -> None:
        """Rename the write-ahead log of a file that is lost, and closed."""
        if _of(self._file) != self._seen[0] and _of(self._log) == self._seen[1] is not None:
            with contextlib.suppress(OSError):
                self._log.rename(f"{self._log}.lost-{os.getpid()}")


def _of(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
