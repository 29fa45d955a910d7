"""What the index of an owner's tasks says of each: when it was created, how it ended if that is
noted, and tags to find it by.

    <created at, 15 digits> <status it ended with, or -> <finished at, or 0> <tag> <tag> ...

A tag is a digest: of the model that was requested, of the one that answered, of a pair of the
metadata. So an entry is short, whatever a client puts into them. An entry only rules out what
cannot match. The record decides on the others.
"""

import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Iterator

from application.ports import Entry
from domain.task import Task
from domain.task_filter import TaskFilter

_TAG_BYTES = 6
_LATEST = 10**15 - 1
"""Milliseconds since 1970: more has no 15 digits."""
_NOT_ENDED = "-"


def entry_of(task: Task, *, ended: bool) -> str:
    """Return the entry of a task that is about to be created, runs, or (`ended`) has ended."""
    status, finished_at = (task.status.value, task.finished_at or 0) if ended else (_NOT_ENDED, 0)
    tags = {*_model_tags(task.requested_model, task.model), *_metadata_tags(task.metadata.items())}
    return " ".join([_digits(task.created_at), status, str(finished_at), *sorted(tags)])


def beginning_of(task: Task) -> str:
    """Return how the entry of a task begins that was created at this time."""
    return _digits(task.created_at)


def member_of(entry: Entry) -> str:
    """Return an entry's member in the sorted sets that are in the order of creation."""
    return f"{_digits(entry.created_at)}:{entry.task_id}"


def read_member(member: bytes) -> Entry:
    created_at, _, task_id = member.decode().partition(":")
    return Entry(int(created_at), task_id)


def members_between(wanted: TaskFilter, after: Entry | None) -> tuple[str, str]:
    """Return the highest and the lowest member behind `after` that were created at a time that is
    wanted, as ZRANGE takes them."""
    highest = "+" if after is None else f"({member_of(after)}"
    if (before := wanted.created_before) is not None and before <= _LATEST:
        end = f"({_digits(before)}:"
        highest = end if after is None else min(highest, end)
    if (since := wanted.created_after) is None:
        return highest, "-"
    return highest, f"[{_digits(since + 1)}:" if since < _LATEST else f"[{_LATEST}~"  # behind all


class Sieve:
    """Rules out tasks by their entries."""

    def __init__(self, wanted: TaskFilter) -> None:
        self._statuses = {each.value.encode() for each in wanted.statuses}
        self._models = set(_encoded(_model_tags(wanted.model)))
        self._metadata = set(_encoded(_metadata_tags(wanted.metadata.items())))
        self.selects = bool(self._statuses or self._models or self._metadata)
        """Whether it may rule out any."""

    def may_match(self, entry: bytes) -> bool:
        """`entry`: b"" if it has expired."""
        if not entry or not self.selects:
            return bool(entry)
        fields = entry.split(b" ")
        if not self._metadata.issubset(fields):
            return False
        if not is_noted(entry):  # neither its status nor its last model stands here
            return True
        return self._models.issubset(fields) and (not self._statuses or fields[1] in self._statuses)


def is_noted(entry: bytes) -> bool:
    """Whether the entry says that its task has ended."""
    return entry[16:17] != _NOT_ENDED.encode()


def _digits(milliseconds: int) -> str:
    return f"{min(max(milliseconds, 0), _LATEST):015}"


def _model_tags(*models: str | None) -> Iterator[str]:
    return (_tag("model", model) for model in models if model is not None)


def _metadata_tags(pairs: Iterable[tuple[str, str]]) -> Iterator[str]:
    return (_tag("metadata", key, value) for key, value in pairs)


def _tag(*parts: str) -> str:
    text = "\0".join(parts).encode(errors="surrogatepass")
    return urlsafe_b64encode(hashlib.blake2b(text, digest_size=_TAG_BYTES).digest()).decode()


def _encoded(tags: Iterator[str]) -> Iterator[bytes]:
    return (tag.encode() for tag in tags)
