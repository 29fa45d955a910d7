"""Logs of every kind, put straight into the store of a service: a whole one at once."""

import asyncio
import itertools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from domain.answer import AnswerBuilder
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
    add_piece,
    fold,
)
from domain.failure import Failure
from domain.request import TaskRequest
from domain.task import Submitted, Task
from tests.builders import NOW
from tests.running import Running

ENDS = ("stop", "tool_calls", "length", "content_filter", "cancelled", "failed", "refused")
"""Words that end a log. `failed` may be repeated, `refused` may not."""
_NUMBERS = itertools.count(1)


def text(said: str) -> ContentAdded:
    return ContentAdded(NOW, said)


def no(said: str) -> ContentAdded:
    return ContentAdded(NOW, said, refusal=True)


def think(said: str) -> ReasoningAdded:
    return ReasoningAdded(NOW, said)


def call(index: int, arguments: str, id_: str | None = None) -> ToolCallAdded:
    """With an id, the first piece of a call."""
    return ToolCallAdded(NOW, index, arguments, id_, None if id_ is None else "look_up")


def item(kind: str, id_: str, **fields: Any) -> ItemAdded:
    """What a hosted tool of OpenAI did."""
    return ItemAdded(NOW, {"id": id_, "type": kind, **fields})


SEARCH = item(
    "web_search_call",
    "ws_1",
    status="completed",
    action={"type": "search", "query": "Oslo", "queries": ["Oslo"]},
)
RUN = item(
    "code_interpreter_call",
    "ci_1",
    status="completed",
    code="print(6 * 7)",
    container_id="cntr_1",
    outputs=[{"type": "logs", "logs": "42"}],
)
PICTURE = item("image_generation_call", "ig_1", status="completed", result="iVBORw0KGgo=")
FILES = item("file_search_call", "fs_1", status="completed", queries=["Oslo"], results=None)
TOOLS = item(
    "mcp_list_tools",
    "mcpl_1",
    server_label="maps",
    tools=[{"name": "find", "input_schema": {"type": "object"}, "description": "Finds."}],
)
MCP = item(
    "mcp_call",
    "mcp_1",
    server_label="maps",
    name="find",
    arguments='{"city": "Oslo"}',
    output="59.9, 10.7",
    error=None,
    status="completed",
)
A, B = call(0, '{"city": ', "call_a"), call(1, '{"city": ', "call_b")
CITED = ContentAdded(
    NOW,
    "Oslo",
    annotations=(
        {"type": "url_citation", "url_citation": {"url": "https://example.org", "title": "E"}},
    ),
)

KINDS: Mapping[str, tuple[PieceAdded | str, ...]] = {
    "text": (text("Hel"), text("lo, "), text("world."), "stop"),
    "nothing said": ("stop",),
    "reasoning": (think("Let me "), think("think."), text("Hel"), text("lo."), "stop"),
    "only reasoning": (think("Hm."), "stop"),
    "reasoning again": (think("One."), text("Hel"), think("Two."), text("lo."), "stop"),
    "refusal": (no("I will "), no("not."), "stop"),
    "refusal behind text": (text("Well, "), no("no."), "stop"),
    "citation": (CITED, text(" it is."), "stop"),
    "a search": (SEARCH, think("Hm."), FILES, CITED, "stop"),
    "every hosted tool": (think("Hm."), TOOLS, MCP, text("Hel"), RUN, PICTURE, text("lo."), "stop"),
    "a picture alone": (PICTURE, "stop"),
    "a search, then a call": (SEARCH, A, call(0, '"Oslo"}'), "tool_calls"),
    "lost behind a search": (SEARCH, "lost", SEARCH, text("Hello."), "stop"),
    "resumed behind a search": (SEARCH, "resumed", text("Hello."), "stop"),
    "one call": (A, call(0, '"Oslo"}'), "tool_calls"),
    "calls interleaved": (think("Two."), A, B, call(0, '"Oslo"}'), call(1, '"Rome"}'), "stop"),
    "text and calls": (text("Wait."), A, call(0, '"Oslo"}'), call(1, "", "call_b"), "tool_calls"),
    "lost in text": (text("Half of"), "lost", text("Hel"), text("lo."), "stop"),
    "lost twice": (text("a"), "lost", think("b"), text("c"), "lost", text("Hello."), "stop"),
    "lost before it spoke": ("lost", text("Hello."), "stop"),
    "lost in reasoning": (think("Let me"), "lost", think("Again."), text("Hello."), "stop"),
    "lost in a call": (text("Wait."), A, "lost", A, call(0, '"Oslo"}'), "tool_calls"),
    "lost call, then text": (A, call(0, '"Oslo"}'), "lost", text("Hello."), "stop"),
    "lost, then nothing said": (text("Half"), "lost", "stop"),
    "lost, then only a call": (text("Half"), "lost", A, call(0, '"Oslo"}'), "tool_calls"),
    "resumed in text": (text("Hel"), "resumed", text("lo."), "stop"),
    "resumed in reasoning": (think("Let "), "resumed", think("me."), text("Hello."), "stop"),
    "resumed in a call": (A, "resumed", call(0, '"Oslo"}'), "tool_calls"),
    "lost, then resumed": (text("x"), "lost", text("Hel"), "resumed", text("lo."), "stop"),
    "cut by length": (think("Hm."), text("Hel"), "length"),
    "cut in reasoning": (think("Hm."), "length"),
    "cut in a call": (A, call(0, '"Oslo"}'), B, "length"),
    "cut by the filter": (text("Hel"), "content_filter"),
    "cancelled in text": (text("Hel"), "cancelled"),
    "cancelled in reasoning": (think("Hm."), "cancelled"),
    "cancelled in a call": (text("Wait."), A, "cancelled"),
    "cancelled behind a loss": (text("a"), "lost", text("b"), "cancelled"),
    "failed in text": (text("Hel"), "failed"),
    "failed in a call": (think("Hm."), A, call(0, '"Oslo"}'), "failed"),
    "failed behind losses": (text("a"), "lost", text("b"), "lost", "failed"),
    "refused by the server": ("refused",),
}
"""Attempts are parted by `lost` and `resumed`; the last step is one of ENDS."""

PLACES: Mapping[str, tuple[PieceAdded | str, ...]] = {
    "JSON": (text('{"city": '), text('"Oslo"}'), "stop"),
    "half a JSON lost": (text('{"ci'), "lost", text('{"city": '), text('"Oslo"}'), "stop"),
    "half a JSON lost in its text": (
        text('{"city": "Os'),
        "lost",
        text('{"city": "Oslo"}'),
        "stop",
    ),
    "a whole JSON lost": (text('{"city": "Rome"}'), "lost", text('{"city": "Oslo"}'), "stop"),
    "half a JSON resumed": (text('{"city": '), "resumed", text('"Oslo"}'), "stop"),
    "half a JSON lost, then a call": (text('{"ci'), "lost", A, call(0, '"Oslo"}'), "tool_calls"),
    "half a JSON, cancelled": (text('{"ci'), "cancelled"),
    "half a JSON, failed": (text('{"ci'), "failed"),
    "half a JSON, cut by length": (text('{"ci'), "length"),
    "refusal": (no("No."), "stop"),
}
"""Answers to a request for `{"city": str}`."""


def log_of(steps: tuple[PieceAdded | str, ...]) -> list[Event]:
    """The events of a log, which obeys the rules."""
    attempt = 1
    log: list[Event] = [StatusChanged(NOW, TaskStatus.PENDING, 0)]
    log.append(StatusChanged(NOW, TaskStatus.RUNNING, attempt))
    answer = AnswerBuilder()
    for step in steps:
        if not isinstance(step, str):
            log.append(step)
        elif step in ("lost", "resumed"):
            log.append(StatusChanged(NOW, TaskStatus.PENDING, attempt, "lease_lapsed"))
            attempt += 1
            resumed = step == "resumed"
            log.append(StatusChanged(NOW, TaskStatus.RUNNING, attempt, resumed=resumed))
        else:
            log += _end(step, attempt, answer)
        add_piece(answer, log[-1])
    assert fold(log).closed
    return log


def _end(word: str, attempt: int, answer: AnswerBuilder) -> list[Event]:
    if word in ("failed", "refused"):
        code, message = ("overloaded", "Busy.") if word == "failed" else ("invalid_api_key", "Who?")
        failed = StatusChanged(NOW, TaskStatus.FAILED, attempt, code)
        return [failed, TaskErrored(NOW, message, code, word == "failed")]
    if word == "cancelled":
        cancelled = StatusChanged(NOW, TaskStatus.CANCELLED, attempt)
        return [cancelled, TaskEnded(NOW, answer.answer(), "cancelled", "m", None)]
    usage = Usage(3, 5, 8, 2, 1)
    completed = StatusChanged(NOW, TaskStatus.COMPLETED, attempt)
    return [completed, TaskEnded(NOW, answer.answer(), word, "m", usage)]


def put(running: Running, steps: tuple[PieceAdded | str, ...], **request: Any) -> str:
    """Put a whole log into the service's store. Return the id of its task."""
    log = log_of(steps)
    asked = TaskRequest(**{"model": "m", "prompt": "Hi.", **request})
    task = _ended(Task.submit(f"task_1_log{next(_NUMBERS)}", asked, NOW).task, log)
    store = running.service.container.kept_tasks()
    asyncio.run(store.create(Submitted(task, tuple(log), asked)))
    return task.id


def _ended(task: Task, log: list[Event]) -> Task:
    """The record that a log leads to."""
    status, last = log[-2], log[-1]
    assert isinstance(status, StatusChanged)
    ended = replace(
        task, status=status.status, attempt=status.attempt, started_at=NOW, finished_at=NOW
    )
    if isinstance(last, TaskErrored):
        return replace(ended, failure=Failure(last.code, last.message, last.retryable))
    assert isinstance(last, TaskEnded)
    return replace(ended, model=last.model, finish_reason=last.finish_reason, usage=last.usage)
