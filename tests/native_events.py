"""Read the events of the native stream back into those of the domain."""

from collections.abc import Sequence
from typing import Any

from domain.answer import Answer, ToolCall
from domain.events import (
    ContentAdded,
    Event,
    ItemAdded,
    PieceAdded,
    ReasoningAdded,
    StatusChanged,
    TaskEnded,
    TaskErrored,
    TaskStatus,
    ToolCallAdded,
    Usage,
)


def event_of(data: dict[str, Any]) -> Event:
    """The event of the log that a `data` line tells, every field of it."""
    at, said = data["timestamp"], data["data"]
    match data["type"]:
        case "content":
            annotations = tuple(data.get("annotations", ()))
            return ContentAdded(at, said, data.get("refusal", False), annotations)
        case "reasoning":
            return ReasoningAdded(at, said)
        case "tool_call":
            return ToolCallAdded(
                at, said["index"], said["arguments"], said.get("id"), said.get("name")
            )
        case "item":
            return ItemAdded(at, said)
        case "status":
            status, resumed = TaskStatus(said), data.get("resumed", False)
            return StatusChanged(
                at,
                status,
                data["attempt"],
                data.get("reason"),
                resumed,
                data.get("nextAttemptAt"),
            )
        case "end":
            usage = data["usage"] and _usage(data["usage"])
            reason, valid = data["finishReason"], data.get("valid")
            return TaskEnded(at, answer_of(data, said), reason, data["model"], usage, valid)
        case "error":
            return TaskErrored(at, said, data["code"], data["retryable"])
    raise AssertionError(f"unknown event: {data}")


def answer_of(data: dict[str, Any], text: str) -> Answer:
    """The answer that an `end` or a record tells, beside its text."""
    return Answer(
        text,
        data.get("refusal", ""),
        data.get("reasoning", ""),
        tuple(ToolCall(**each) for each in data.get("toolCalls", ())),
        tuple(data.get("annotations", ())),
        tuple(data.get("items", ())),
    )


def _usage(data: dict[str, Any]) -> Usage:
    return Usage(
        data["promptTokens"],
        data["completionTokens"],
        data["totalTokens"],
        data["reasoningTokens"],
        data["cachedTokens"],
        data["estimated"],
    )


def retractions(events: Sequence[Event]) -> int:
    """How often a log takes back what was said."""
    taken, said = 0, False
    for each in events:
        if isinstance(each, StatusChanged) and each.status is TaskStatus.RUNNING:
            taken += said and not each.resumed
            said = said and each.resumed
        said = said or isinstance(each, PieceAdded)
    return taken
