"""The form in which stores keep the record of a task and its request: JSON, each apart.

A record has a version of its own, and a request that of `adapters.request_codec`. The version must
grow with every field that an instance of the version before would drop when it writes the record
anew, if that harms. A record is written in the lowest version that says all of it, so that
instances of an older version serve what they can, and leave the rest alone:

1. has none of the following,
2. has a time before which it does not begin, a deadline, a guard, webhooks, or a continuation.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from adapters.request_codec import VERSION as REQUEST_VERSION
from adapters.request_codec import check_version, request_from_plain, request_to_plain
from application.errors import UnreadableTask
from domain.request import TaskRequest
from domain.task import Submitted, Task

VERSION = 2
encode_json = msgspec.json.Encoder().encode
decode_json = msgspec.json.Decoder(dict[str, Any]).decode
READING = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    RecursionError,
    msgspec.DecodeError,
)
"""What decoding raises for data that is none of ours."""


@dataclass(frozen=True, slots=True)
class EncodedRequest:
    data: bytes
    version: int


def version_of(task: Task) -> int:
    """Return the version in which the record is written."""
    newest = task.not_before, task.deadline, task.guard_id, task.continuation
    return 1 + (bool(task.webhooks) or any(each is not None for each in newest))


def is_readable(version: int) -> bool:
    """Whether this instance reads the record of that version, and the log beside it."""
    return 1 <= version <= VERSION


def encode_task(task: Task) -> bytes:
    return encode_json({each.name: getattr(task, each.name) for each in dataclasses.fields(task)})


def task_from_plain(record: Mapping[str, Any], message_id: str | None) -> Task:
    """Return the task of a record that was decoded. `message_id`: as it is kept beside the record,
    since it is noted at any time. Raises one of READING."""
    return msgspec.convert(
        record if message_id is None else {**record, "message_id": message_id}, Task
    )


def decode_task(task_id: str, version: int, record: bytes, message_id: str | None) -> Task:
    """Return the task. Raises UnreadableTask."""
    try:
        check_version("the record", version, VERSION, first=1)
        return task_from_plain(decode_json(record), message_id)
    except READING as error:
        raise UnreadableTask(task_id, str(error)) from error


def encode_request(submitted: Submitted) -> EncodedRequest:
    """Return the request of a new task; nothing, of version 0, if it is lost."""
    if submitted.request is None:
        return EncodedRequest(b"", 0)
    plain = request_to_plain(submitted.request)
    return EncodedRequest(encode_json(plain), plain["v"])


def check_request_version(task_id: str, version: int | None) -> None:
    """Raise UnreadableTask if another version of this service wrote the request. None: there is
    none."""
    try:
        if version is not None:
            check_version("the request", version, REQUEST_VERSION, first=1)
    except ValueError as error:
        raise UnreadableTask(task_id, str(error)) from error


def decode_request(task_id: str, request: bytes | None) -> TaskRequest | None:
    """Return the request, None if there is none. Raises UnreadableTask."""
    try:
        return request_from_plain(decode_json(request)) if request else None
    except READING as error:
        raise UnreadableTask(task_id, str(error)) from error
