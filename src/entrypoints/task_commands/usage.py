"""`longtask usage`: what was used and what it cost, by model, day and owner."""

import asyncio
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from entrypoints.client.amounts import exact, rounded
from entrypoints.client.api import Api, Body
from entrypoints.client.printing import print_json, say
from entrypoints.client.server import Server, local_server, with_server
from entrypoints.terminal import one_line

if TYPE_CHECKING:
    from rich.table import Table

BY = ("model", "day", "owner")
_NUMBERS = {
    "tasks": "TASKS",
    "inputTokens": "INPUT",
    "cachedTokens": "CACHED",
    "outputTokens": "OUTPUT",
    "reasoningTokens": "REASONING",
    "totalTokens": "TOKENS",
}
_LEAST_WIDTHS = {"cachedTokens": 100, "reasoningTokens": 110}
"""Columns of a terminal without which one of the table is left out."""


def _words(context: click.Context, option: Any, given: str) -> tuple[str, ...]:
    words = tuple(given.split(","))
    if any(word not in BY for word in words) or len({*words}) < len(words):
        message = f"must be one or several of {', '.join(BY)}, separated by commas"
        raise click.BadParameter(message, context, option)
    return words


@click.command("usage")
@click.option("--from", "first", metavar="DAY", help="The first day (UTC), such as 2026-11-01.")
@click.option("--to", "last", metavar="DAY", help="The last day (UTC). Default: today.")
@click.option(
    "--by",
    default="model",
    metavar="WORDS",
    callback=_words,
    help=f"What each line is of: {', '.join(BY)}, or several of them, separated by commas. "
    "Default: model.",
)
@click.option("--owner", metavar="NAME", help="Only what this API key's name has used (operators).")
@click.option("--json", "as_json", is_flag=True, help="Print what the service says, as JSON.")
@with_server
def usage_command(
    first: str | None,
    last: str | None,
    by: tuple[str, ...],
    owner: str | None,
    as_json: bool,
    server: Server | None,
) -> None:
    """Show what you have used, and what it cost: this month's, unless --from says otherwise.

    A terminal gets a table with the sums. A file or a pipe gets a line for each row, with tabs
    between what it is of, tasks, input, cached, output, reasoning and all tokens, and the cost.
    What you have left of today's tokens comes on standard error, where they are limited.

    Exit status: 0 also if there is none, 1 if it cannot be shown, 2 when the command line is
    wrong."""
    given = {"from": first, "to": last, "by": ",".join(by), "owner": owner}
    query = [(name, value) for name, value in given.items() if value is not None]
    report, caller = asyncio.run(_report(server or local_server(), query))
    if as_json:
        print_json(report)
        return
    rows = report["rows"]
    if sys.stdout.isatty() and rows:
        from entrypoints.task_commands.task_table import new_console  # noqa: PLC0415

        console = new_console()
        console.print(table_of(report, by, console.width))
    else:
        for row in rows:
            sys.stdout.write("\t".join(_cells(row, by, _NUMBERS, str, exact)) + "\n")
    if not rows:
        say(f"nothing was used from {report.get('from')} to {report.get('to')}")
    if unpriced := report.get("unpriced"):
        say(f"without a price: {', '.join(map(str, unpriced))}")
    for line in _left(caller):
        say(line)


async def _report(server: Server, query: Sequence[tuple[str, str]]) -> tuple[Body, Body]:
    async with Api(server) as api:
        return await api.usage(query), await api.me()


def _left(caller: Body) -> Iterator[str]:
    """Yield what the caller has left of this day's tokens, where these are limited."""
    for each in caller["limits"]:
        name, limit, left = (each.get(key) for key in ("name", "limit", "left"))
        if isinstance(left, int) and isinstance(limit, int):
            whose = "your address" if name == "tokens-per-address" else "your API key"
            yield f"left of today's tokens of {whose}: {left:,} of {limit:,}"


def table_of(report: Body, by: Sequence[str], width: int) -> "Table":
    """Return the rows of a report, and their sums, as a table for a terminal of that width."""
    from rich.table import Table  # noqa: PLC0415  (a pipe needs none of it)
    from rich.text import Text  # noqa: PLC0415

    numbers = [name for name in _NUMBERS if width >= _LEAST_WIDTHS.get(name, 0)]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for word in by:
        table.add_column(word.upper(), no_wrap=True, overflow="ellipsis")
    for name in numbers:
        table.add_column(_NUMBERS[name], justify="right", no_wrap=True)
    currency = report.get("currency")
    if currency is not None:
        table.add_column(one_line(str(currency)), justify="right", no_wrap=True)

    def add(row: Body, style: str = "") -> None:
        cells = list(_cells(row, by, numbers, lambda number: f"{number:,}", rounded))
        table.add_row(*map(Text, cells if currency is not None else cells[:-1]), style=style)

    for row in report["rows"]:
        add(row)
    add({**report["total"], by[0]: "total", **dict.fromkeys(by[1:], "")}, "bold")
    return table


def _cells(
    row: Body,
    by: Sequence[str],
    numbers: Sequence[str] | dict[str, str],
    number_text: Callable[[int], str],
    amount_text: Callable[[Any], str],
) -> Iterator[str]:
    for word in by:
        name = row.get(word)
        yield one_line(str("-" if name is None else name))
    for name in numbers:
        number = row.get(name)
        yield number_text(number) if isinstance(number, int) else ""
    yield amount_text(row.get("cost"))
