"""The file of API keys (`LONGTASK_API_KEYS_FILE`): how it is read, and rewritten by `longtask key`.

It has one entry in a line, as LONGTASK_API_KEYS has them. Empty lines do not count, nor does what
follows a `#`.
"""

import contextlib
import fcntl
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from entrypoints.api_keys import ApiKey, parse_entry

LARGEST = 1024 * 1024
"""Bytes: more than 10,000 keys."""
HEADER = "# API keys of Longtask, one in a line: name:sha256:<hash>"
"""The first line of a file that `longtask key` makes. It also tells a file whose last key was
withdrawn from one that lost what it held."""


class KeysFileError(Exception):
    """Raised when the file cannot be changed. Its text is one sentence, which names the file."""


@dataclass(frozen=True, slots=True)
class KeysFile:
    """The file, as one read has found it."""

    path: Path
    keys: tuple[ApiKey, ...] = field(default=(), repr=False)
    fault: str | None = None
    """Why it cannot be used: one sentence, which holds nothing of an entry."""
    plain_at: int | None = None
    """The first line that holds a key itself and not its hash."""
    mode: int = 0
    """Who may read and write it, as `stat` tells."""
    blank: bool = False
    """Whether it holds nothing, not even a comment."""

    def __str__(self) -> str:
        return str(self.path)

    def wrong(self, *, plain_allowed: bool) -> str | None:
        """Return why it cannot be used, as one sentence. None if it can. `plain_allowed`: whether
        it may hold keys themselves."""
        if self.fault is None and self.plain_at is not None and not plain_allowed:
            return (
                f"line {self.plain_at} of {self.path} holds a key itself, not its hash: make one "
                "with `longtask key new NAME --file FILE`"
            )
        return self.fault


def read_keys_file(path: Path) -> KeysFile:
    """Read the file. Does not raise: what is wrong stands in the result."""
    try:
        text, mode = _content_of(path)
    except (OSError, ValueError) as error:
        return KeysFile(path, fault=f"cannot read {path}: {_words(error)}")
    keys, malformed, plain_at = [], [], None
    for number, line in enumerate(text.split("\n"), 1):
        if not (entry := _entry_in(line)):
            continue
        if (key := parse_entry(entry)) is None:
            malformed.append(number)
            continue
        keys.append(key)
        if key.plain and plain_at is None:
            plain_at = number
    if malformed:
        further = f", nor are {len(malformed) - 1} further lines" if malformed[1:] else ""
        fault = f"line {malformed[0]} of {path} is not name:sha256:<64 hex digits>{further}"
        return KeysFile(path, fault=fault)
    return KeysFile(path, tuple(keys), plain_at=plain_at, mode=mode, blank=not text.strip())


def add_entry(path: Path, entry: str) -> None:
    """Add an entry to the file, or make it (mode 0600). Raises KeysFileError."""

    def add(lines: list[str]) -> list[str]:
        return [*(lines or [HEADER]), entry]

    _rewrite(path, add)


def withdraw(path: Path, keys: list[ApiKey]) -> None:
    """Remove the entries of these keys. Raises KeysFileError."""
    digests = {(key.name, key.digest) for key in keys}

    def remove(lines: list[str]) -> list[str]:
        left = []
        for line in lines:
            key = parse_entry(_entry_in(line))
            if key is None or (key.name, key.digest) not in digests:
                left.append(line)
        return left if any(line.strip() for line in left) else [HEADER]

    _rewrite(path, remove)


def _entry_in(line: str) -> str:
    return line.partition("#")[0].strip()


def _content_of(path: Path) -> tuple[str, int]:
    """Return the text and the mode of the file. Raises OSError and ValueError."""
    # Opening a pipe would wait for its other end.
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        if not stat.S_ISREG(mode):
            raise ValueError("it is not a regular file")
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise ValueError(f"it is longer than {LARGEST // 1024**2} MiB")
    return content.decode("utf-8-sig"), mode


def _rewrite(path: Path, change: Callable[[list[str]], list[str]]) -> None:
    """Replace the file at once by one with other lines, so that no reader sees half of them."""
    try:
        target = Path(os.path.realpath(path))  # a link stays one
        with _locked(target.parent):
            lines: list[str] = []
            if target.exists():
                found = read_keys_file(path)
                if found.fault is not None:
                    raise KeysFileError(f"{found.fault}; correct this first")
                lines = _content_of(target)[0].rstrip("\n").split("\n")
            _replace(target, "\n".join(change([] if lines == [""] else lines)) + "\n")
    except (OSError, ValueError) as error:
        raise KeysFileError(f"cannot write {path}: {_words(error)}") from error


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Wait until no other such command changes a file in the folder."""
    lock = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):  # some network file systems lock no folders
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _replace(target: Path, text: str) -> None:
    """Write the text to a new file in the place of another one, whose owner and mode it gets."""
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")  # mode 0600
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            with contextlib.suppress(FileNotFoundError):
                old, new = target.stat(), os.fstat(descriptor)
                if (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid):
                    os.fchown(descriptor, old.st_uid, old.st_gid)
                os.fchmod(descriptor, stat.S_IMODE(old.st_mode))
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink()
        raise


def _words(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8 text"
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
