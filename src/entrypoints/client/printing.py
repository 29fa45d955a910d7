"""What is printed of a task: for people, or as lines of JSON for programs.

The text of a model goes to standard output and everything else to standard error, so that a pipe
gets the text alone.
"""

import json
import math
import os
import sys
import time
from collections.abc import Callable
from datetime import datetime
from shlex import quote
from typing import Any, TextIO

from entrypoints.client.item_lines import item_line
from entrypoints.terminal import one_line, printable

COMPLETED, FAILED, CANCELLED = 0, 1, 130
Event = dict[str, Any]
Show = Callable[[str, Event], None]
"""What prints an event, given its id. Each event comes once and in order."""

_EMPTY_BY_LIMIT = (
    "the answer is empty: the limit of tokens was used up before it began, as models do that "
    "reason first. "
)
_DIM, _NOT_DIM = "\x1b[2m", "\x1b[22m"


def say(line: str) -> None:
    """Write a line to standard error, without what would act on a terminal."""
    print(printable(line), file=sys.stderr, flush=True)


def exit_status(event: Event) -> int:
    """Return the status with which a command ends after the last event of a task."""
    if event["type"] == "error":
        return FAILED
    if event["finishReason"] == "cancelled":
        return CANCELLED
    says = event["data"] or event.get("toolCalls") or event.get("items")
    return COMPLETED if says else FAILED


def print_json(value: dict[str, Any]) -> None:
    """Print a line of JSON on standard output, in ASCII: nothing in it acts on a terminal."""
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def print_as_json(event_id: str, event: Event) -> None:
    """Print an event of the log as a line of JSON on standard output, with its `id`."""
    if event["type"] != "connected":  # it is no event of the log
        print_json({"id": event_id, **event})


def print_started(started: dict[str, Any], words: str, *, as_json: bool) -> None:
    """Print what a start returned: its id alone, or all of it as JSON. `words` follow the id in the
    commands that are named on standard error."""
    task_id = started["taskId"]
    if as_json:
        print_json(started)
        return
    sys.stdout.write(f"{one_line(task_id)}\n")
    sys.stdout.flush()
    say_when(started)
    say(f"follow it with: longtask follow {quote(task_id)}{words}")


def say_when(started: dict[str, Any]) -> None:
    """Say when a task begins that was delayed, as a start returned it."""
    if time := shown_time(started.get("notBefore")):
        say(f"delayed until {time}")


def shown_time(milliseconds: Any) -> str:
    """Return a time of a record as the user's clock has it, nothing for none."""
    if not isinstance(milliseconds, int):
        return ""
    return str(datetime.fromtimestamp(milliseconds // 1000).astimezone())


class Printer:
    """Prints an answer for people."""

    def __init__(self, *, limited: bool = False, reasoning: bool = False, own: bool = True) -> None:
        """`limited`: whether the user set the limit of tokens. `reasoning`: whether it is shown.
        `own`: whether this command started the task."""
        self._limited = limited
        self._own = own
        self._reasoning = reasoning
        self._began = time.monotonic()
        self._live = sys.stdout.isatty()
        self._dim = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
        self._calls: dict[int, str] = {}  # the name of each call, by its index
        self._part: object = None
        """Which part of the answer the unfinished line belongs to: text, reasoning or a call."""
        self._unfinished: TextIO | None = None
        """Where that line is."""

    def show(self, _: str, event: Event) -> None:
        match event["type"]:
            case "content" if self._live:
                self._add("text", sys.stdout, printable(event["data"]))
            case "reasoning" if self._reasoning:
                text = printable(event["data"])
                self._add("reasoning", sys.stderr, f"{_DIM}{text}{_NOT_DIM}" if self._dim else text)
            case "tool_call":
                self._show_call(event["data"])
            case "item":
                self.close_line()
                say(item_line(event["data"]))
            case "status":
                self._show_status(event)
            case "end":
                self.close_line()
                if not self._live:
                    _print_whole(event["data"])
                self._show_end(event)
            case "error":
                self.close_line()
                say(f"failed: {event['data']} ({event['code']})")

    def _show_call(self, piece: Event) -> None:
        index, name = piece["index"], one_line(piece.get("name", ""))
        went_on = index in self._calls
        self._calls[index] = self._calls.get(index, "") + name
        head = ""
        if self._part != index:
            again = " (continued)" if went_on else ""
            head = f"tool call {self._calls[index]}{again}: "
        self._add(index, sys.stderr, head + printable(piece["arguments"]))

    def _show_status(self, event: Event) -> None:
        if event["data"] not in ("pending", "running"):
            return
        self.close_line()
        reason = f" ({event['reason']})" if "reason" in event else ""
        if event["data"] == "running" and event.get("resumed"):
            say(f"going on: attempt {event['attempt']}")
            return
        if event["data"] == "running":
            self._calls.clear()
            if event["attempt"] > 1:
                say(f"starting over: attempt {event['attempt']}")
                return
        say(f"{event['data']}{reason}{_next_try(event)}")

    def _show_end(self, event: Event) -> None:
        reason = event["finishReason"]
        for each in source_lines(event.get("annotations", [])):
            say(each)
        if refusal := event.get("refusal"):
            part = "to answer" if refusal == event["data"] else "a part of it"
            say(f"the model refused {part}")
        if event.get("valid") is False:
            say("the answer does not fit the schema")
        lasted = f", {time.monotonic() - self._began:.1f} s" if self._own else ""
        say(f"{reason}: {event['model']}{lasted}{_counted(event)}")
        if exit_status(event) == FAILED:
            say(self._why_empty(reason))

    def _why_empty(self, reason: str) -> str:
        if reason != "length":
            return "the answer is empty"
        if not self._own:
            return f"{_EMPTY_BY_LIMIT}Ask again with a larger maxTokens"
        if self._limited:
            return f"{_EMPTY_BY_LIMIT}Raise --max-tokens, or leave it out"
        return f"{_EMPTY_BY_LIMIT}Set a larger limit with --max-tokens"

    def _add(self, part: object, stream: TextIO, text: str) -> None:
        if part != self._part:
            self.close_line()
        self._part, self._unfinished = part, stream
        stream.write(text)
        stream.flush()

    def close_line(self) -> None:
        """End the line that has begun, if one has."""
        if self._unfinished is not None:
            self._unfinished.write("\n")
            self._unfinished.flush()
        self._part = self._unfinished = None


def _next_try(event: Event) -> str:
    """Return when the next attempt begins, if that is known and still to come."""
    next_at = event.get("nextAttemptAt")
    if not isinstance(next_at, int):
        return ""
    # By the service's clock as well: this machine's may be another.
    left = min(next_at - event["timestamp"], next_at - time.time() * 1000) / 1000
    return f", next try in {math.ceil(left)} s" if left > 0 else ""


def _counted(event: Event) -> str:
    usage = event.get("usage") or {}
    tokens, reasoning = usage.get("completionTokens"), usage.get("reasoningTokens")
    if tokens is None:
        return ""
    about = "about " if usage.get("estimated") else ""
    spent = f", {reasoning} of them for reasoning" if reasoning else ""
    return f", {about}{tokens} tokens{spent}"


def source_lines(annotations: list[Event]) -> list[str]:
    """Return a line for each source that an answer cites, each once."""
    lines = []
    for each in annotations:
        cited = each.get(str(each.get("type")), each)
        if isinstance(cited, dict) and isinstance(cited.get("url"), str):
            title = cited.get("title")
            lines.append(f"source: {f'{title}, ' if title else ''}{cited['url']}")
        else:
            lines.append(f"note: {json.dumps(each)}")
    return [one_line(each) for each in dict.fromkeys(lines)]


def _print_whole(text: str) -> None:
    """Write the text of a task that has ended to a file or a pipe."""
    if text:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
