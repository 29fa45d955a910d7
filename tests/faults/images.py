"""Crash images: copies of the data file and its write-ahead log, as a crash would leave them."""

import base64
import contextlib
import json
import os
import shutil
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any


@dataclass
class Contents:
    """What a copy of the file holds, and what is wrong with it."""

    events: set[tuple[str, str]] = field(default_factory=set)
    """Task and event id."""
    tasks: set[str] = field(default_factory=set)
    unfinished: set[str] = field(default_factory=set)
    queued: set[str] = field(default_factory=set)
    """Tasks of which the queue has a message, a failure callback, or a dead letter."""
    faults: list[str] = field(default_factory=list)


def copy(file: Path, to: Path) -> None:
    """Copy the file and its log, without the log's index, in place of those that are there, and
    flush them. The process that writes them must stand still."""
    for target in _with_log(to):
        target.unlink(missing_ok=True)
    to.with_name(to.name + "-shm").unlink(missing_ok=True)
    for source, target in zip(_with_log(file), _with_log(to), strict=True):
        with contextlib.suppress(FileNotFoundError):  # there is no log after a good end
            shutil.copyfile(source, target)
            _flush(target)
    _flush(to.parent)


def examine(image: Path) -> Contents:
    """Open a copy of an image and return what it holds."""
    with TemporaryDirectory() as folder:
        opened = Path(folder) / image.name
        copy(image, opened)
        try:
            with contextlib.closing(sqlite3.connect(opened)) as connection:
                return _contents(connection)
        except (sqlite3.Error, ValueError) as error:
            return Contents(faults=[f"an image cannot be read: {error!r}"])


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _with_log(file: Path) -> list[Path]:
    return [file, file.with_name(file.name + "-wal")]


def _contents(connection: sqlite3.Connection) -> Contents:
    found = Contents()
    (integrity,) = connection.execute("PRAGMA integrity_check").fetchone()
    if integrity != "ok":
        found.faults.append(f"integrity_check of an image: {integrity}")
    rows = connection.execute(
        "SELECT id, epochs, expires IS NULL, (SELECT sum(count) FROM batches"
        " WHERE key >> 28 = task), (SELECT max((key & 268435455) + count - 1) FROM batches"
        " WHERE key >> 28 = task) FROM tasks WHERE id IS NOT NULL"
    )
    for task_id, epochs, unfinished, events, length in rows:
        if events != length:
            found.faults.append(f"{task_id}: {events} events in an image, and the last is {length}")
        found.tasks.add(task_id)
        if unfinished:
            found.unfinished.add(task_id)
        found.events |= {(task_id, event_id) for event_id in _ids(epochs, length or 0)}
    for (body,) in connection.execute("SELECT body FROM bodies"):
        if (task_id := _task_of(json.loads(body))) is not None:
            found.queued.add(task_id)
    return found


def _ids(epochs: str, length: int) -> list[str]:
    """The ids of a log's events. `epochs`: each with the offset of its first event."""
    begins = [(int(each.partition("-")[0]), each.partition("-")[2]) for each in epochs.split()]
    ends = [first for first, _ in begins[1:]] + [length + 1]
    return [
        f"{epoch}-{offset}"
        for (first, epoch), end in zip(begins, ends, strict=True)
        for offset in range(first, end)
    ]


def _task_of(message: dict[str, Any]) -> str | None:
    """The task that a message has run, or a failure callback, which holds the message. Guards and
    announcements have none run."""
    if "sourceBody" in message:
        return _task_of(json.loads(base64.b64decode(message["sourceBody"])))
    return str(message["taskId"]) if "maxRetries" in message else None
