"""Summaries of tasks as text: columns for a terminal, or lines with tabs for programs.

What a summary holds was written by others: it becomes `Text`, which rich does not read as markup,
without what acts on a terminal.
"""

import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from entrypoints.client.amounts import cost_text
from entrypoints.client.api import Body
from entrypoints.terminal import one_line

_STYLES = {
    "pending": "yellow",
    "running": "cyan",
    "completed": "green",
    "failed": "red",
    "cancelled": "dim",
}
_LEAST_WIDTHS = {"title": 64, "age": 70, "duration": 90, "tokens": 100, "model": 120, "cost": 140}
"""Columns of a terminal without which one of the table is left out. Ids are not shortened where a
line can hold them: they are what other commands take."""
_MODEL_WIDTH = 24


def new_console() -> Console:
    """Return the terminal of standard output."""
    return Console(markup=False, highlight=False, emoji=False)


def line_of(task: Body) -> str:
    """Return id, status, title, model, time of the start (UTC), seconds of the run and tokens, with
    tabs between them; what is not known is empty."""
    created = _number(task.get("createdAt"))
    began = "" if created is None else datetime.fromtimestamp(created // 1000, UTC).isoformat()
    seconds = _seconds(task, now=None)
    fields = [
        task["taskId"],
        task["status"],
        _text(task.get("title")),
        _text(task.get("model")),
        began.replace("+00:00", "Z"),
        "" if seconds is None else f"{seconds:.1f}",
        _tokens(task).removeprefix("~"),
    ]
    return "\t".join(one_line(each) for each in fields)


def table_of(tasks: Iterable[Body], width: int) -> Table:
    """Return a table of these tasks for a terminal of that width: a line for each, and a head."""
    tasks = list(tasks)
    shown = [
        name
        for name in ("id", "status", "title", "model", "age", "duration", "tokens", "cost")
        if width >= _LEAST_WIDTHS.get(name, 0)
        and (name != "cost" or any(task.get("cost") for task in tasks))
    ]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.expand = "title" in shown
    for name in shown:
        table.add_column(
            name.upper(),
            no_wrap=True,
            overflow="ellipsis",
            ratio=1 if name == "title" else None,
            max_width=_MODEL_WIDTH if name == "model" else None,
            justify="right" if name in ("age", "duration", "tokens", "cost") else "left",
        )
    now = time.time()
    for task in tasks:
        cells = _cells(task, now)
        table.add_row(*(cells[name] for name in shown))
    return table


def _cells(task: Body, now: float) -> dict[str, Text]:
    created, seconds = _number(task.get("createdAt")), _seconds(task, now)
    cells = {
        "id": task["taskId"],
        "title": _text(task.get("title")),
        "model": _text(task.get("model")),
        "age": "" if created is None else _span(now - created / 1_000, parts=1),
        "duration": _delay(task, now) if seconds is None else _span(seconds, parts=2),
        "tokens": _tokens(task),
        "cost": cost_text(task.get("cost")).replace("about ", "~"),
    }
    status = task["status"]
    return {
        "status": Text(one_line(status), style=_STYLES.get(status, "")),
        **{name: Text(one_line(text)) for name, text in cells.items()},
    }


def _seconds(task: Body, now: float | None) -> float | None:
    """Return how long a task ran, until `now` if it still does."""
    started, finished = _number(task.get("startedAt")), _number(task.get("finishedAt"))
    if started is None:
        return None
    if finished is not None:
        return max(0.0, (finished - started) / 1_000)
    running = now is not None and task["status"] == "running"
    return max(0.0, now - started / 1_000) if running and now is not None else None


def _delay(task: Body, now: float) -> str:
    """Return after which time a task may begin that is delayed, or goes on that waits for its next
    attempt."""
    due = _number(task.get("nextAttemptAt")) or _number(task.get("notBefore"))
    if due is None or task["status"] != "pending" or due <= now * 1_000:
        return ""
    return f"in {_span(due / 1_000 - now, parts=2)}"


def _span(seconds: float, parts: int) -> str:
    """Return a time span in its greatest units, such as 2h05m."""
    left = max(0, int(seconds))
    units = {"d": left // 86_400, "h": left // 3_600 % 24, "m": left // 60 % 60, "s": left % 60}
    told = list(units.items())
    while len(told) > 1 and told[0][1] == 0:
        del told[0]
    (unit, count), *rest = told[:parts]
    return f"{count}{unit}" + "".join(f"{count:02}{unit}" for unit, count in rest)


def _tokens(task: Body) -> str:
    usage = task.get("usage")
    total = _number(usage.get("totalTokens")) if isinstance(usage, dict) else None
    if total is None:
        return ""
    return f"~{total}" if usage is not None and usage.get("estimated") else str(total)


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) else None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
