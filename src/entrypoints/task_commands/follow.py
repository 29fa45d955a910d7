"""`longtask follow`: print a task as it goes on, as `longtask ask` does, and leave it alone."""

import asyncio
import sys
from shlex import quote

import click

from domain.errors import MalformedEventId
from domain.position import Position
from entrypoints.client.api import Api, Body
from entrypoints.client.printing import (
    CANCELLED,
    FAILED,
    Event,
    Printer,
    exit_status,
    print_as_json,
    say,
)
from entrypoints.client.reader import ends_first, interrupts, read_events, stop
from entrypoints.client.server import Server, local_server, with_server
from entrypoints.task_commands.completion import task_ids
from entrypoints.terminal import one_line

INTERRUPTED = 130


@click.command("follow")
@click.argument("task_id", metavar="ID", shell_complete=task_ids())
@click.option(
    "--after",
    metavar="EVENT_ID",
    default="",
    help="Go on behind this event: an id that --json or Ctrl-C told.",
)
@click.option("--reasoning", is_flag=True, help="Show the model's reasoning on standard error.")
@click.option("--json", "as_json", is_flag=True, help="Print each event as a line of JSON.")
@with_server
def follow_command(
    task_id: str, after: str, reasoning: bool, as_json: bool, server: Server | None
) -> None:
    """Print the text of a task, live. Ctrl-C leaves the task alone.

    Standard output gets the text and nothing else: at a terminal as it arrives, a file or a pipe
    the whole text once the task has ended. After a lost connection it goes on behind the last event
    that it received.

    Exit status: 0 when the task completed, 1 when it failed, was cancelled or its answer is empty,
    or when it cannot be followed, 2 when the command line is wrong, 130 after Ctrl-C."""
    if after:
        try:
            Position.parse(after)
        except MalformedEventId as error:
            raise click.BadParameter(
                f"'{one_line(after)}' is {error}", param_hint="--after"
            ) from None
    printer = None if as_json else Printer(reasoning=reasoning, own=False)
    sys.exit(asyncio.run(_follow(server or local_server(), task_id, after, printer)))


async def _follow(server: Server, task_id: str, after: str, printer: Printer | None) -> int:
    show = print_as_json if printer is None else printer.show
    seen = after

    def shown(event_id: str, event: Event) -> None:
        nonlocal seen
        show(event_id, event)
        seen = event_id or seen

    interrupted = interrupts()
    async with Api(server) as api:
        reading = asyncio.create_task(read_events(api, task_id, shown, after, reached=False))
        if not await ends_first(reading, interrupted, timeout=None):
            await stop(reading)
            if printer is not None:
                printer.close_line()
            behind = f" --after {quote(seen)}" if seen else ""
            again = f"longtask follow {task_id}{behind}{server.words}"
            say(f"the task goes on. Follow it again with: {again}")
            return INTERRUPTED
        last = reading.result()
        if last is None:
            last = _last_event(await api.record(task_id))
            if printer is not None:
                printer.show("", last)
    status = exit_status(last)
    return FAILED if status == CANCELLED else status


def _last_event(record: Body) -> Event:
    """Return the end of a task, for which the service has no event left to send."""
    if record["status"] == "failed":
        failure = record["error"]
        return {"type": "error", "data": failure["message"], "code": failure["code"]}
    reason = record["finishReason"] or record["status"]
    return {**record, "type": "end", "data": record["text"], "finishReason": reason}
