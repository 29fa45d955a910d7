"""Logs of every kind, put straight into the service's store."""

import asyncio
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from threading import Thread
from typing import Any

from adapters.memory import MemoryTaskLog
from domain.answer import AnswerBuilder
from domain.events import (
    ContentAdded,
    Event,
    PieceAdded,
    ReasoningAdded,
    StatusChanged,
    TaskEnded,
    TaskErrored,
    TaskStatus,
    ToolCallAdded,
    Usage,
    add_piece,
)
from domain.request import TaskRequest
from domain.task import Task
from tests.builders import NOW
from tests.doubles.upstream import Gate
from tests.running import Running
from tests.waiting import within

USAGE = Usage(3, 5, 8, reasoning_tokens=2, cached_tokens=1)


def text(*pieces: str, refusal: bool = False) -> list[PieceAdded]:
    return [ContentAdded(NOW, each, refusal) for each in pieces]


def reasoning(*pieces: str) -> list[PieceAdded]:
    return [ReasoningAdded(NOW, each) for each in pieces]


def call(index: int, *arguments: str, id_: str = "") -> list[PieceAdded]:
    """The pieces of a call."""
    first, *others = arguments
    begun = ToolCallAdded(NOW, index, first, id_ or f"call_{index}", "weather")
    return [begun, *(ToolCallAdded(NOW, index, each) for each in others)]


CITATION = {
    "type": "url_citation",
    "url_citation": {"url": "https://example.org/", "title": "T", "start_index": 0, "end_index": 2},
}
CITED: list[PieceAdded] = [ContentAdded(NOW, "So", annotations=(CITATION,))]
THOUGHT = reasoning("Let me ", "think.")
TEXT = text("Hello", ", ", "wörld", ".")
CALL = call(0, '{"city"', ':"Oslo"}')
CALLS = [*CALL, *call(1, ""), *call(2, "{}")]
INTERLEAVED = [CALLS[0], *call(1, '{"a"'), CALLS[1], ToolCallAdded(NOW, 1, ":1}")]
REFUSAL = text("I ", "cannot.", refusal=True)

Attempt = tuple[bool, Sequence[PieceAdded]]
"""Whether an attempt is resumed, and what it says."""


def lost(*pieces: PieceAdded) -> Attempt:
    return False, pieces


def resumed(*pieces: PieceAdded) -> Attempt:
    return True, pieces


def log_of(attempts: Sequence[Attempt], end: str) -> list[Event]:
    """A log: `end` is the finish reason, `cancelled` or `failed`."""
    events: list[Event] = [StatusChanged(NOW, TaskStatus.PENDING, 0)]
    answer = AnswerBuilder()
    for number, (goes_on, pieces) in enumerate(attempts, 1):
        if number > 1:
            events.append(StatusChanged(NOW, TaskStatus.PENDING, number - 1, "timeout"))
        running = StatusChanged(NOW, TaskStatus.RUNNING, number, resumed=goes_on)
        for event in (running, *pieces):
            events.append(event)
            add_piece(answer, event)
    count = len(attempts)
    if end == "failed":
        return [
            *events,
            StatusChanged(NOW, TaskStatus.FAILED, count, "server_error"),
            TaskErrored(NOW, "The model broke.", "server_error", True),
        ]
    status = TaskStatus.CANCELLED if end == "cancelled" else TaskStatus.COMPLETED
    usage = USAGE if status is TaskStatus.COMPLETED else None
    ended = TaskEnded(NOW, answer.answer(), end, "test-model-1", usage)
    return [*events, StatusChanged(NOW, status, count), ended]


SAID: dict[str, list[PieceAdded]] = {
    "nothing": [],
    "text": TEXT,
    "cited": CITED,
    "reasoning": THOUGHT,
    "reasoned text": [*THOUGHT, *TEXT],
    "text between reasoning": [*THOUGHT, *TEXT, *THOUGHT, *TEXT],
    "refusal": REFUSAL,
    "text and refusal": [*TEXT, *REFUSAL, *TEXT],
    "call": CALL,
    "calls": [*THOUGHT, *TEXT, *CALLS],
    "interleaved calls": INTERLEAVED,
    "half a call": call(0, '{"city"'),
}
ENDS = ("stop", "length", "content_filter", "cancelled", "failed")


def every_log() -> dict[str, list[Event]]:
    """Logs by their names."""
    logs = {
        f"{name}, {end}": log_of([(False, pieces)], end)
        for name, pieces in SAID.items()
        for end in ENDS
    }
    for name, pieces in SAID.items():
        half = pieces[: len(pieces) // 2 + 1]
        logs[f"{name}, lost"] = log_of([lost(*half), lost(*TEXT)], "stop")
        logs[f"{name}, lost twice"] = log_of([lost(*TEXT), lost(*half), lost(*CALL)], "tool_calls")
        logs[f"{name}, resumed"] = log_of([lost(*half), resumed(*pieces[len(half) :])], "stop")
        logs[f"{name}, lost and cancelled"] = log_of([lost(*half), lost()], "cancelled")
    waiting: Event = StatusChanged(NOW, TaskStatus.PENDING, 0)
    failed = TaskErrored(NOW, "No worker took it.", "queue_unavailable", True)
    logs["failed before it ran"] = [waiting, StatusChanged(NOW, TaskStatus.FAILED, 0), failed]
    logs["cancelled before it ran"] = log_of([], "cancelled")
    return logs


def put(service: Running, events: Sequence[Event], **request: Any) -> str:
    """Put a log into the store; return the id of its response."""
    tasks = service.service.container.kept_tasks()
    assert isinstance(tasks, MemoryTaskLog)
    task_id = f"task_1_{secrets.token_hex(6)}"
    fields: dict[str, Any] = {"model": "test-model", "prompt": "Hi.", **request}
    asyncio.run(tasks.create(Task.submit(task_id, TaskRequest(**fields), NOW)))
    entry = tasks._entries[task_id]
    entry.events[:] = events
    last = [each for each in events if isinstance(each, StatusChanged)][-1]
    entry.task = replace(entry.task, status=last.status, attempt=last.attempt)
    return f"resp_{task_id}"


@contextmanager
def cancelling(service: Running, gate: Gate) -> Iterator[None]:
    """Cancel the task that was started last, once its model waits at the gate."""

    def cancel() -> None:
        gate.reached.wait(within(60))
        tasks = service.service.container.kept_tasks()
        service.client.http.post(f"/api/tasks/{list(tasks._entries)[-1]}/cancel")
        gate.open()

    thread = Thread(target=cancel)
    thread.start()
    yield
    thread.join()
