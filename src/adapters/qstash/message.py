"""The body of our messages on QStash: the whole request, so that a delivery alone can make a lost
record anew.

`VERSION` is that of the fields around the request, which has a version of its own. It must grow
with every change that an instance of the version before would misread.
"""

from typing import Any

import msgspec

from adapters.request_codec import check_version, request_from_plain, request_to_plain
from application.ports import Delivery
from domain.errors import DomainError
from domain.task import Task, check_task_id

VERSION = 1


class _Message(msgspec.Struct, rename="camel", omit_defaults=True):
    v: int
    task_id: str
    created_at: int
    max_retries: int
    """How many deliveries may follow the first. QStash does not tell the receiver."""
    request: dict[str, Any]
    owner: str | None = None


_decode = msgspec.json.Decoder(dict[str, Any]).decode


def encode(task: Task, max_retries: int) -> bytes:
    request = request_to_plain(task.request)
    return msgspec.json.encode(
        _Message(VERSION, task.id, task.created_at, max_retries, request, task.owner)
    )


def decode(body: bytes | bytearray) -> Delivery:
    """Return what a message delivers. Raises UnknownVersion for a message of another version, and
    ValueError for anything else that `encode` does not return."""
    try:
        plain = _decode(body)
        check_version("the message", plain.get("v"), VERSION)
        message = msgspec.convert(plain, _Message)
        request = request_from_plain(message.request)
        check_task_id(message.task_id)
    except (msgspec.DecodeError, DomainError) as error:
        raise ValueError(str(error)) from error
    return Delivery(
        message.task_id,
        request,
        message.created_at,
        max_attempts=message.max_retries + 1,
        owner=message.owner,
    )
