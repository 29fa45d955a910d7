"""`longtask show`, `cancel`, `delete` and `retry`: one request for each task."""

import asyncio
import sys
from collections.abc import Awaitable, Callable

import click

from entrypoints.client.api import Api, Body, ServiceError
from entrypoints.client.printing import FAILED, print_json, print_started
from entrypoints.client.server import Server, local_server, with_server
from entrypoints.task_commands.completion import task_ids
from entrypoints.task_commands.record_text import record_text
from entrypoints.terminal import one_line

_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, a line for each task.")

_ABOUT_ONE_TASK = (400, 404, 409)
"""Statuses of responses that say nothing of the next task."""


@click.command("show")
@click.argument("task_id", metavar="ID", shell_complete=task_ids())
@click.option("--json", "as_json", is_flag=True, help="Print the whole record, a line of JSON.")
@with_server
def show_command(task_id: str, as_json: bool, server: Server | None) -> None:
    """Show a task and what it said so far.

    Exit status: 0 whatever the status of the task, 1 if it cannot be shown, 2 when the command line
    is wrong."""

    async def show(api: Api, task_id: str) -> None:
        record = await api.record(task_id)
        if as_json:
            print_json(record)
        else:
            click.echo(record_text(record))

    _each([task_id], show, server)


@click.command("cancel")
@click.argument(
    "task_ids",
    metavar="ID...",
    nargs=-1,
    required=True,
    shell_complete=task_ids("pending", "running"),
)
@_as_json
@with_server
def cancel_command(task_ids: tuple[str, ...], as_json: bool, server: Server | None) -> None:
    """Cancel tasks, keeping what they said. One that is cancelled already stays so.

    Exit status: 0 when all are cancelled, 1 when one is not, 2 when the command line is wrong."""

    async def cancel(api: Api, task_id: str) -> None:
        record = await api.cancel(task_id)
        _tell(task_id, record["status"], record, as_json=as_json)

    _each(task_ids, cancel, server)


@click.command("delete")
@click.argument("task_ids", metavar="ID...", nargs=-1, required=True, shell_complete=task_ids())
@click.option("--yes", is_flag=True, help="Do not ask.")
@_as_json
@with_server
def delete_command(
    task_ids: tuple[str, ...], yes: bool, as_json: bool, server: Server | None
) -> None:
    """Delete tasks with all that they were asked and said.

    A task that has not ended is cancelled first. At a terminal it asks before.

    Exit status: 0 when all are deleted, 1 when one is not, 2 when the command line is wrong."""
    if not yes and sys.stdin is not None and sys.stdin.isatty():
        named = one_line(task_ids[0]) if len(task_ids) == 1 else f"these {len(task_ids)} tasks"
        click.confirm(f"Delete {named} for good?", abort=True, err=True)

    async def delete(api: Api, task_id: str) -> None:
        await api.delete(task_id)
        _tell(task_id, "deleted", {"taskId": task_id, "deleted": True}, as_json=as_json)

    _each(task_ids, delete, server)


@click.command("retry")
@click.argument("task_id", metavar="ID", shell_complete=task_ids("failed", "cancelled"))
@click.option("--json", "as_json", is_flag=True, help="Print what the service says of the start.")
@with_server
def retry_command(task_id: str, as_json: bool, server: Server | None) -> None:
    """Start a failed or cancelled task anew.

    Prints the id of the new task.

    Exit status: 0 when the new task has started, 1 when it has not, 2 when the command line is
    wrong."""
    target = server or local_server()

    async def retry(api: Api, task_id: str) -> None:
        print_started(await api.retry(task_id), target.words, as_json=as_json)

    _each([task_id], retry, target)


def _tell(task_id: str, what: str, body: Body, *, as_json: bool) -> None:
    if as_json:
        print_json(body)
    else:
        click.echo(f"{one_line(task_id)}: {one_line(what)}")


def _each(
    task_ids: tuple[str, ...] | list[str],
    do: Callable[[Api, str], Awaitable[None]],
    server: Server | None,
) -> None:
    """Do something to each task, and go on past those that are refused; with one, exit with
    status 1. A service that cannot be reached is the end."""

    async def run() -> bool:
        refused = False
        async with Api(server or local_server()) as api:
            for task_id in dict.fromkeys(task_ids):
                try:
                    await do(api, task_id)
                except ServiceError as error:
                    if error.status not in _ABOUT_ONE_TASK:
                        raise
                    named = f"{one_line(task_id)}: " if len(task_ids) > 1 else ""
                    click.echo(f"Error: {named}{error.message}", err=True)
                    refused = True
        return refused

    if asyncio.run(run()):
        sys.exit(FAILED)
