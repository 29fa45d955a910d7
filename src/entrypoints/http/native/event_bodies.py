"""The events of a stream, for the API's description. `sse.encoder` writes them; a test compares."""

import msgspec
from msgspec import UNSET, UnsetType

from domain.events import TaskStatus
from entrypoints.http.native.bodies import UsageBody


class _Event(msgspec.Struct, rename="camel", tag_field="type", kw_only=True):
    task_id: str
    timestamp: int
    """Milliseconds since the Unix epoch."""


class ConnectedEvent(_Event, tag="connected", kw_only=True):
    """Comes first on every connection. It has no id, since it is not part of the log."""

    status: TaskStatus
    attempt: int


class StatusEvent(_Event, tag="status", kw_only=True):
    """The task has this status now. A `running` without `resumed` takes back the text before it."""

    data: TaskStatus
    attempt: int
    reason: str | UnsetType = UNSET
    """Why the last attempt was lost."""
    resumed: bool | UnsetType = UNSET
    """Whether the attempt goes on with the text of the last one. Nothing sends it yet."""


class ContentEvent(_Event, tag="content", kw_only=True):
    """The next piece of the text."""

    data: str


class EndEvent(_Event, tag="end", kw_only=True):
    """The task completed or was cancelled. `data` is the whole text."""

    data: str
    finish_reason: str
    usage: UsageBody | None
    model: str


class ErrorEvent(_Event, tag="error", kw_only=True):
    """The task failed. `data` is a message for people."""

    data: str
    code: str
    retryable: bool


StreamEvent = ConnectedEvent | StatusEvent | ContentEvent | EndEvent | ErrorEvent
