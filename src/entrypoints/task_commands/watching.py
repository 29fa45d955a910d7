"""`longtask tasks --watch`: the caller's tasks as they change, in a live table or as lines.

The stream of changes begins with all unfinished tasks, but tells nothing of a task that was deleted
while there was no connection. So each connection begins with the newest page of the list, and what
the stream tells after it is newer.
"""

import asyncio
import sys
from contextlib import suppress
from heapq import nlargest

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from entrypoints.client.api import Api, Body, ServiceError, is_summary
from entrypoints.client.printing import Event, print_json, say
from entrypoints.client.reader import ends_first, interrupts, receive, stop
from entrypoints.client.server import Server
from entrypoints.task_commands.task_table import line_of, new_console, table_of
from entrypoints.task_commands.wanted import PAGE_LIMIT, Wanted
from entrypoints.terminal import one_line

INTERRUPTED = 130
UNFINISHED = {"pending", "running"}
KEPT = 1_000
"""Tasks that have ended, which a view keeps at least; more would never be shown."""
_AROUND_THE_ROWS = 3
"""Lines of a terminal for the head, what is below the table, and the cursor."""
_TICK = 1.0
"""Seconds after which ages and durations are drawn anew."""
_DRAWING_PAUSE = 0.1


async def print_changes(server: Server, wanted: Wanted, *, as_json: bool) -> int:
    """Print a line for each task and each change until Ctrl-C; return the exit status. Raises
    `ServiceError`."""
    told: dict[str, tuple[object, ...]] = {}
    """The state of each unfinished task: a connection begins with all of them, changed or not."""

    async def take(event_id: str, event: Event) -> bool:
        if event["type"] == "deleted":
            task_id = str(event.get("taskId"))
            told.pop(task_id, None)
            line = f"{one_line(task_id)}\tdeleted"
        elif (task := _task_of(event)) is None:
            return False
        else:
            task_id, state = task["taskId"], _state(task)
            if told.get(task_id) == state or not wanted.matches(task):
                return False
            told.pop(task_id, None)
            if task["status"] in UNFINISHED:
                told[task_id] = state
            line = line_of(task)
        if as_json:
            print_json({"id": event_id, **event})
        else:
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()
        return False

    async with Api(server) as api:
        reading = asyncio.create_task(receive(api, api.changes, take, reached=False, tell=say))
        return await _until_interrupted(reading)


async def show_live(server: Server, wanted: Wanted, limit: int | None) -> int:
    """Show a live table of at most `limit` tasks until Ctrl-C, and leave the last one there; return
    the exit status. Raises `ServiceError`."""
    view = View(wanted, new_console(), limit)
    async with Api(server) as api:

        async def take(_: str, event: Event) -> bool:
            if event["type"] == "connected":
                page = await api.page(wanted.query(PAGE_LIMIT))
                view.begin(page["tasks"])
            else:
                view.take(event)
            return False

        reading = asyncio.create_task(
            receive(api, api.changes, take, reached=False, tell=view.note)
        )
        drawing = asyncio.create_task(_draw(view))
        try:
            return await _until_interrupted(reading)
        finally:
            await stop(drawing)


class View:
    """The tasks of a live table."""

    def __init__(self, wanted: Wanted, console: Console, limit: int | None) -> None:
        self.console = console
        self.changed = asyncio.Event()
        self._wanted = wanted
        self._limit = limit
        self._tasks: dict[str, Body] = {}
        self._forget_beyond = 2 * KEPT
        self._note = ""

    def __len__(self) -> int:
        return len(self._tasks)

    def begin(self, tasks: list[Body]) -> None:
        """Begin with these, at each connection."""
        self._tasks = {each["taskId"]: each for each in tasks}
        self.note("")

    def take(self, event: Event) -> None:
        """Take a change of a task."""
        if event["type"] == "deleted":
            self._tasks.pop(str(event.get("taskId")), None)
        elif (task := _task_of(event)) is not None:
            task_id = task["taskId"]
            if self._wanted.matches(task):
                self._tasks[task_id] = task
                if len(self._tasks) > self._forget_beyond:
                    self._forget_the_oldest()
            else:
                self._tasks.pop(task_id, None)
        self.changed.set()

    def note(self, text: str) -> None:
        """Show this below the table, until the next connection."""
        self._note = text
        self.changed.set()

    def drawn(self, *, last: bool = False) -> Group:
        """Return the newest tasks that fit the terminal. `last`: nothing follows."""
        height = max(1, self.console.height - _AROUND_THE_ROWS)
        rows = nlargest(min(height, self._limit or height), self._tasks.values(), key=_age_key)
        shown = {each["taskId"] for each in rows}
        hidden = sum(
            task_id not in shown and task["status"] in UNFINISHED
            for task_id, task in self._tasks.items()
        )
        below = [] if rows else ["no tasks match" if self._wanted else "there are no tasks"]
        below += [f"{hidden} more unfinished"] if hidden else []
        below += [] if last else [self._note or "Ctrl-C ends this view"]
        line = Text(one_line("; ".join(below)), style="dim", no_wrap=True, overflow="ellipsis")
        table = [table_of(rows, self.console.width)] if rows else []
        return Group(*table, *([line] if below else []))

    def _forget_the_oldest(self) -> None:
        newest = {each["taskId"] for each in nlargest(KEPT, self._tasks.values(), key=_age_key)}
        self._tasks = {
            task_id: task
            for task_id, task in self._tasks.items()
            if task_id in newest or task["status"] in UNFINISHED
        }
        self._forget_beyond = 2 * max(KEPT, len(self._tasks))


async def _draw(view: View) -> None:
    """Draw the view at each change, and each second for its ages and durations."""
    await view.changed.wait()  # a refusal is told without a table
    with Live(view.drawn(), console=view.console, auto_refresh=False) as live:
        try:
            while True:
                view.changed.clear()
                live.update(view.drawn(), refresh=True)
                await asyncio.sleep(_DRAWING_PAUSE)
                with suppress(TimeoutError):
                    async with asyncio.timeout(_TICK):
                        await view.changed.wait()
        finally:
            live.update(view.drawn(last=True), refresh=True)


async def _until_interrupted(reading: asyncio.Task[None]) -> int:
    if await ends_first(reading, interrupts(), timeout=None):
        reading.result()
        raise ServiceError("the server ended the stream")
    await stop(reading)
    return INTERRUPTED


def _task_of(event: Event) -> Body | None:
    task = event.get("task") if event["type"] == "task" else None
    return task if is_summary(task) else None


def _state(task: Body) -> tuple[object, ...]:
    return task["status"], task.get("attempt"), task.get("updatedAt")


def _age_key(task: Body) -> tuple[int, str]:
    created = task.get("createdAt")
    return created if isinstance(created, int) else 0, task["taskId"]
