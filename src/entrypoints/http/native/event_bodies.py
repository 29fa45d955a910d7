"""The events of a stream, for the API's description. `sse.encoder` writes them; a test compares."""

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from domain.events import TaskStatus
from entrypoints.http.native.bodies import ToolCallBody, UsageBody


class _Event(msgspec.Struct, rename="camel", tag_field="type", kw_only=True):
    task_id: str
    timestamp: int
    """Milliseconds since the Unix epoch."""


class ConnectedEvent(_Event, tag="connected", kw_only=True):
    """Comes first on every connection. It has no id, since it is not part of the log."""

    status: TaskStatus
    attempt: int


class StatusEvent(_Event, tag="status", kw_only=True):
    """The task has this status now. A `running` without `resumed` takes back what the events before
    it said."""

    data: TaskStatus
    attempt: int
    reason: str | UnsetType = UNSET
    """Why the last attempt was lost."""
    next_attempt_at: int | UnsetType = UNSET
    """When the next attempt may begin, if one was lost and that is known."""
    resumed: bool | UnsetType = UNSET
    """Whether the attempt goes on with what the last one said."""


class ContentEvent(_Event, tag="content", kw_only=True):
    """The next piece of the text."""

    data: str
    refusal: bool | UnsetType = UNSET
    """Whether the model refuses with these words."""
    annotations: list[dict[str, Any]] | UnsetType = UNSET
    """What the model's server notes about the text, in its own form."""


class ReasoningEvent(_Event, tag="reasoning", kw_only=True):
    """The next piece of the model's reasoning, or of its summary."""

    data: str


class ToolCallPiece(msgspec.Struct, omit_defaults=True):
    index: int
    """Which of the answer's calls."""
    arguments: str
    """The next piece of the arguments."""
    id: str | UnsetType = UNSET
    """In the first piece of each call."""
    name: str | UnsetType = UNSET
    """The next piece of the tool's name: in the first piece, as a rule."""


class ToolCallEvent(_Event, tag="tool_call", kw_only=True):
    """The next piece of a call of a tool. Pieces of several calls may alternate."""

    data: ToolCallPiece


class ItemEvent(_Event, tag="item", kw_only=True):
    """The model's server did something that no other event tells: a hosted tool ran, for example.
    `data` is the output item as the server's Responses API gives it."""

    data: dict[str, Any]


class EndEvent(_Event, tag="end", kw_only=True):
    """The task completed or was cancelled. `data` is the whole text. From `reasoning` on, what an
    answer does not have is left out."""

    data: str
    finish_reason: str
    usage: UsageBody | None
    model: str
    reasoning: str | UnsetType = UNSET
    tool_calls: list[ToolCallBody] | UnsetType = UNSET
    refusal: str | UnsetType = UNSET
    annotations: list[dict[str, Any]] | UnsetType = UNSET
    items: list[dict[str, Any]] | UnsetType = UNSET
    """The `data` of each `item`."""
    valid: bool | UnsetType = UNSET
    """Whether the text parses and fits the schema that the request gave."""


class ErrorEvent(_Event, tag="error", kw_only=True):
    """The task failed. `data` is a message for people."""

    data: str
    code: str
    retryable: bool


StreamEvent = (
    ConnectedEvent
    | StatusEvent
    | ContentEvent
    | ReasoningEvent
    | ToolCallEvent
    | ItemEvent
    | EndEvent
    | ErrorEvent
)
