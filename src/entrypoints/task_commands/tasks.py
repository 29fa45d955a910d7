"""`longtask tasks`: the caller's tasks, as a list or as they change."""

import asyncio
import os
import sys

import click

from entrypoints.client.api import Api, Body
from entrypoints.client.printing import print_json, say
from entrypoints.client.server import Server, local_server, with_server
from entrypoints.task_commands.wanted import PAGE_LIMIT, Wanted, wanted_options

DEFAULT_LIMIT = 20


@click.command("tasks")
@wanted_options
@click.option(
    "--limit",
    type=click.IntRange(1),
    help=f"How many tasks to show at most. Default: {DEFAULT_LIMIT}, or with --watch those that "
    "fit the terminal.",
)
@click.option("--all", "everything", is_flag=True, help="Show all tasks that match.")
@click.option("--watch", is_flag=True, help="Show the tasks as they change, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="Print a line of JSON for each task.")
@with_server
def tasks_command(
    statuses: tuple[str, ...],
    model: str | None,
    metadata: dict[str, str],
    since: int | None,
    limit: int | None,
    everything: bool,
    watch: bool,
    as_json: bool,
    server: Server | None,
) -> None:
    """List your tasks, the newest first.

    A terminal gets a table. A file or a pipe gets a line for each task, with tabs between id,
    status, title, model, time of the start, seconds of the run, and tokens.

    With --watch, a terminal shows the newest tasks as they change. A file, a pipe, a terminal whose
    cursor cannot move, and --json get a line for each unfinished task, for each that ended in the
    last hour, and then for each change.

    Exit status: 0 also if there are none, 1 if they cannot be listed, 2 when the command line is
    wrong, 130 after Ctrl-C in --watch."""
    if everything and (watch or limit is not None):
        raise click.UsageError("--all goes with neither --limit nor --watch")
    wanted = Wanted(frozenset(statuses), model, metadata, since)
    target = server or local_server()
    if not watch:
        most = None if everything else limit or DEFAULT_LIMIT
        asyncio.run(_list(target, wanted, most, as_json=as_json))
        return
    from entrypoints.task_commands import watching  # noqa: PLC0415  (a list needs none of it)

    dumb = os.environ.get("TERM") in ("dumb", "unknown")
    if sys.stdout.isatty() and not dumb and not as_json:
        sys.exit(asyncio.run(watching.show_live(target, wanted, limit)))
    if limit is not None:
        raise click.UsageError("--limit goes with --watch at a terminal only")
    sys.exit(asyncio.run(watching.print_changes(target, wanted, as_json=as_json)))


async def _list(server: Server, wanted: Wanted, limit: int | None, *, as_json: bool) -> None:
    """Print a list of at most `limit` tasks, and say if there are more."""
    from entrypoints.task_commands.task_table import (  # noqa: PLC0415  (JSON needs none of it)
        line_of,
        new_console,
        table_of,
    )

    at_terminal = sys.stdout.isatty() and not as_json
    listed: list[Body] = []
    printed, after = 0, None
    async with Api(server) as api:
        while True:
            left = PAGE_LIMIT if limit is None else limit - printed
            page = await api.page(wanted.query(left, after))
            for each in page["tasks"]:
                if as_json:
                    print_json(each)
                elif at_terminal:
                    listed.append(each)
                else:
                    sys.stdout.write(f"{line_of(each)}\n")
            printed, after = printed + len(page["tasks"]), page["next"]
            if after is None or (limit is not None and printed >= limit):
                break
    if at_terminal and listed:
        console = new_console()
        console.print(table_of(listed, console.width))
    if not printed and not as_json:
        say("no tasks match" if wanted else "there are no tasks")
    if after is not None:
        say("there are more tasks: use --limit or --all")
