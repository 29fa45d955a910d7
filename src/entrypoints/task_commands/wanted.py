"""Which tasks `longtask tasks` is to show: its filters, as the user writes them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import click

from domain.events import TaskStatus
from entrypoints.client.api import Body
from entrypoints.times import duration_of

PAGE_LIMIT = 100
"""Tasks that the service returns at once, at most."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A task must match every condition that is given."""

    statuses: frozenset[str] = frozenset()
    model: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    since: int | None = None
    """Milliseconds since the Unix epoch; this one is included."""

    def __bool__(self) -> bool:
        return self != Wanted()

    def query(self, limit: int, after: str | None = None) -> list[tuple[str, str]]:
        """Return the query of a page."""
        query = [("limit", str(min(limit, PAGE_LIMIT)))]
        query += [("status", each) for each in sorted(self.statuses)]
        query += [(f"metadata[{key}]", value) for key, value in self.metadata.items()]
        if self.model is not None:
            query.append(("model", self.model))
        if self.since is not None:
            query.append(("createdAfter", str(self.since - 1)))
        return query if after is None else [*query, ("after", after)]

    def matches(self, task: Body) -> bool:
        """Whether a task that the service told of unasked is one of these."""
        return (
            (not self.statuses or task["status"] in self.statuses)
            and self.model in (None, task.get("model"), task.get("requestedModel"))
            and self.metadata.items() <= (task.get("metadata") or {}).items()
            and (self.since is None or (task.get("createdAt") or 0) >= self.since)
        )


def wanted_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the filters to a command."""
    options = [
        click.option(
            "--status",
            "statuses",
            multiple=True,
            type=click.Choice([str(each.value) for each in TaskStatus]),
            help="Only tasks of this status. Repeatable: of any of them.",
        ),
        click.option("--model", help="Only tasks that this model was asked for, or answered."),
        click.option(
            "--metadata",
            multiple=True,
            metavar="KEY=VALUE",
            callback=_pairs,
            help="Only tasks with this in their metadata. Repeatable: with all of them.",
        ),
        click.option(
            "--since",
            metavar="TIME",
            callback=_moment,
            help="Only tasks started since then: 90s, 30m, 2h, 7d or 4w ago, or a date such as "
            "2026-11-29 or 2026-11-29T18:00+01:00, by default in your time zone.",
        ),
    ]
    for each in reversed(options):
        command = each(command)
    return command


def _pairs(context: click.Context, option: Any, given: Sequence[str]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for each in given:
        key, equals, value = each.partition("=")
        if not (key and equals):
            raise click.BadParameter("must be KEY=VALUE", context, option)
        if pairs.setdefault(key, value) != value:
            raise click.BadParameter(f"{key!a} has two values", context, option)
    return pairs


def _moment(context: click.Context, option: Any, given: str | None) -> int | None:
    if given is None:
        return None
    try:
        if (seconds := duration_of(given)) is not None:
            moment = datetime.now().astimezone() - timedelta(seconds=seconds)
        else:
            moment = datetime.fromisoformat(given)
        return max(1, int(moment.timestamp() * 1_000))
    except (ValueError, OverflowError, OSError):
        raise click.BadParameter(
            f"{given!a} is neither a time span such as 2h nor a date such as 2026-11-29",
            context,
            option,
        ) from None
