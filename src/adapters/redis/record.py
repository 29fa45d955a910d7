"""How records and requests are written in Redis, and read by instances of another version.

The hash of a task has the record in the field `state`, which every transition rewrites, and the
request in a field of its own, which is written once.

Instances of the version before read the record in the field `task`, with the request in it, and
rewrite it there. So that they serve what they can while the new version is rolled out, the scripts
put the two together in `task` for requests that they understand and that are no longer than
SHARED_LIMIT. Redis does that: neither the request nor `task` crosses the network for a transition
or a status. For any other request `task` is `{}`, which they refuse. A `state` of another status or
attempt than the hash itself is older than `task`: an instance of the version before has written
since. The next version may drop `task`, and reading it.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from adapters.redis.codec import VERSION
from adapters.request_codec import (
    LAST_FLAT_VERSION,
    check_version,
    request_from_plain,
    request_to_plain,
)
from adapters.request_codec import VERSION as REQUEST_VERSION
from application.errors import UnreadableTask
from domain.request import TaskRequest
from domain.task import Submitted, Task

SHARED_LIMIT = 128 * 1024
"""Bytes of a request up to which instances of the version before find it in `task`."""
FIELDS = ("v", "status", "attempt", "state", "message", "request_v")
"""The fields of the hash that `decode_record` is given."""


@dataclass(frozen=True, slots=True)
class Record:
    task: Task
    request_version: int | None = None
    """The version of the request, None if the store has none."""
    older_request: bytes = b""
    """The request, if it was found in `task`. The next transition writes it into its own field."""

    def check_request(self) -> None:
        """Raise UnreadableTask if another version of this service wrote the request."""
        try:
            if self.request_version is not None:
                check_version("the request", self.request_version, REQUEST_VERSION, first=1)
        except ValueError as error:
            raise UnreadableTask(self.task.id, str(error)) from error


@dataclass(frozen=True, slots=True)
class EncodedRequest:
    data: bytes
    version: int

    @property
    def shared(self) -> bool:
        """Whether instances of the version before are to find it."""
        return self.version <= LAST_FLAT_VERSION and 0 < len(self.data) <= SHARED_LIMIT


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode


class _WithRequest(msgspec.Struct):
    request: msgspec.Raw


_decode_raw_request = msgspec.json.Decoder(_WithRequest).decode
_READING = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    RecursionError,
    msgspec.DecodeError,
)


def encode_task(task: Task) -> bytes:
    return _encode({each.name: getattr(task, each.name) for each in dataclasses.fields(task)})


def encode_request(submitted: Submitted) -> EncodedRequest:
    """Return the request of a new task; nothing, of version 0, if it is lost."""
    if submitted.request is None:
        return EncodedRequest(b"", 0)
    plain = request_to_plain(submitted.request)
    return EncodedRequest(_encode(plain), plain["v"])


def decode_record(task_id: str, fields: Sequence[bytes | None]) -> Record | None:
    """Return the record of which FIELDS were read, or None if it is in `task`. Raises
    UnreadableTask."""
    version, status, attempt, state, message, request_version = fields
    try:
        check_version("the record", int(version or 0), VERSION)
        if state is None:
            return None
        record = _decode(state)
        if (record["status"], record["attempt"]) != ((status or b"").decode(), int(attempt or 0)):
            return None
        task = _task(record, message)
        return Record(task, None if request_version is None else int(request_version))
    except _READING as error:
        raise UnreadableTask(task_id, str(error)) from error


def decode_shared(task_id: str, task: bytes, message: bytes | None) -> Record:
    """Return the record of which `task` and `message` were read. Raises UnreadableTask."""
    try:
        record = _decode(task)
        request = request_from_plain(record["request"])
        record["requested_model"] = request.model
        raw = bytes(_decode_raw_request(task).request)
        return Record(_task(record, message), record["request"]["v"], raw)
    except _READING as error:
        raise UnreadableTask(task_id, str(error)) from error


def decode_request(task_id: str, request: bytes | None) -> TaskRequest | None:
    """Return the request of which the field of its own was read. Raises UnreadableTask."""
    try:
        return request_from_plain(_decode(request)) if request else None
    except _READING as error:
        raise UnreadableTask(task_id, str(error)) from error


def decode_shared_request(task_id: str, task: bytes | None) -> TaskRequest | None:
    """Return the request of which `task` was read. Raises UnreadableTask."""
    try:
        plain = _decode(task or b"{}").get("request")
        return None if plain is None else request_from_plain(plain)
    except _READING as error:
        raise UnreadableTask(task_id, str(error)) from error


def _task(record: dict[str, Any], message: bytes | None) -> Task:
    if message is not None:
        record["message_id"] = message.decode()
    return msgspec.convert(record, Task)
