"""How records and requests are written in Redis, and read by instances of another version.

The hash of a task has the record in the field `state`, which every transition rewrites, and the
request in a field of its own, which is written once.

Instances of the version before read the record in the field `task`, with the request in it, and
rewrite it there. So that they serve what they can while the new version is rolled out, the scripts
put the two together in `task` for requests that they understand and that are no longer than
SHARED_LIMIT. Redis does that: neither the request nor `task` crosses the network for a transition
or a status. For any other request `task` is `{}`, which they refuse. A `state` of another status or
attempt than the hash itself is older than `task`: an instance of the version before has written
since. (A record that such an instance must not rewrite has a version that it refuses:
record_codec.py.) The next version may drop `task`, and reading it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from adapters.record_codec import (
    READING,
    VERSION,
    EncodedRequest,
    decode_json,
    task_from_plain,
)
from adapters.request_codec import LAST_FLAT_VERSION, check_version, request_from_plain
from application.errors import UnreadableTask
from domain.request import TaskRequest
from domain.task import Task

SHARED_LIMIT = 128 * 1024
"""Bytes of a request up to which instances of the version before find it in `task`."""
FIELDS = ("v", "status", "attempt", "state", "message", "request_v", "response", "cursor")
"""The fields of the hash that `decode_record` is given."""


@dataclass(frozen=True, slots=True)
class Record:
    task: Task
    request_version: int | None = None
    """The version of the request, None if the store has none."""
    older_request: bytes = b""
    """The request, if it was found in `task`. The next transition writes it into its own field."""


def shared(request: EncodedRequest) -> bool:
    """Whether instances of the version before are to find the request."""
    return request.version <= LAST_FLAT_VERSION and 0 < len(request.data) <= SHARED_LIMIT


class _WithRequest(msgspec.Struct):
    request: msgspec.Raw


_decode_raw_request = msgspec.json.Decoder(_WithRequest).decode


def decode_record(task_id: str, fields: Sequence[bytes | None]) -> Record | None:
    """Return the record of which FIELDS were read, or None if it is in `task`. Raises
    UnreadableTask."""
    version, status, attempt, state, message, request_version, response, cursor = fields
    try:
        check_version("the record", int(version or 0), VERSION, first=1)
        if state is None:
            return None
        record = decode_json(state)
        if (record["status"], record["attempt"]) != ((status or b"").decode(), int(attempt or 0)):
            return None
        task = with_notes(_task(record, message), response, cursor)
        return Record(task, None if request_version is None else int(request_version))
    except READING as error:
        raise UnreadableTask(task_id, str(error)) from error


def with_notes(task: Task, response: bytes | None, cursor: bytes | None) -> Task:
    """Return the record with what was noted of its continuation. Each note begins with the number
    of the attempt that wrote it: one of an attempt before `begun` is of another continuation.
    Raises one of READING."""
    continuation = task.continuation
    if continuation is None:
        return task
    if response:
        attempt, _, response_id = response.decode().partition(" ")
        if int(attempt) >= continuation.begun:
            continuation = continuation.noted(response_id)
    if cursor:
        by, last, logged = map(int, cursor.split())
        if by >= continuation.begun:
            continuation = continuation.advanced(last, logged, by)
    return replace(task, continuation=continuation)


def decode_shared(task_id: str, task: bytes, message: bytes | None) -> Record:
    """Return the record of which `task` and `message` were read. Raises UnreadableTask."""
    try:
        record = decode_json(task)
        request = request_from_plain(record["request"])
        record |= {
            "requested_model": request.model,
            "title": request.title,
            "metadata": request.metadata,
        }
        raw = bytes(_decode_raw_request(task).request)
        return Record(_task(record, message), record["request"]["v"], raw)
    except READING as error:
        raise UnreadableTask(task_id, str(error)) from error


def decode_shared_request(task_id: str, task: bytes | None) -> TaskRequest | None:
    """Return the request of which `task` was read. Raises UnreadableTask."""
    try:
        plain = decode_json(task or b"{}").get("request")
        return None if plain is None else request_from_plain(plain)
    except READING as error:
        raise UnreadableTask(task_id, str(error)) from error


def _task(record: dict[str, Any], message: bytes | None) -> Task:
    return task_from_plain(record, None if message is None else message.decode())
