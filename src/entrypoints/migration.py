"""Moving from the data file to Redis: `longtask migrate`.

Ended tasks are copied with their logs and positions, with what is left of their times to live,
their tombstones, all idempotency keys and chats, and the usage of all owners. The file is held
meanwhile, and not changed. What Redis has already stays as it is there, so a move that was
interrupted is simply repeated. Only a task that has not ended there is replaced by the ended one,
unless an attempt is running.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from adapters.redis import Adopted, Adoption
from adapters.sqlite import HandingOver
from application.errors import Unreadable

T = TypeVar("T")

AT_ONCE = 16
"""Tasks that are copied at the same time."""


class UnfinishedTasks(Exception):
    """Raised if not all tasks of the file have ended."""

    def __init__(self, count: int) -> None:
        super().__init__(
            f"{count} task{'s have' if count > 1 else ' has'} not ended, and only ended tasks can "
            "be moved: run `longtask serve` with the file until they have ended or are cancelled, "
            "stop it, and migrate again"
        )


@dataclass
class Moved:
    """What became of one kind of things."""

    copied: int = 0
    there: int = 0
    """Those that Redis had already."""


@dataclass
class Report:
    tasks: Moved = field(default_factory=Moved)
    tombstones: Moved = field(default_factory=Moved)
    keys: Moved = field(default_factory=Moved)
    usage: Moved = field(default_factory=Moved)
    """Days of owners."""
    unreadable: list[str] = field(default_factory=list)
    """Ids of tasks whose records or logs cannot be read. They were not copied."""
    running: list[str] = field(default_factory=list)
    """Ids of tasks that are running in Redis. They were not copied."""


async def migrate(
    source: HandingOver, target: Adoption, progress: Callable[[Report], None]
) -> Report:
    """Copy all. `progress` is told now and then how far it is. Raises UnfinishedTasks, before
    anything is copied, and StoreUnavailable."""
    if unfinished := await source.unfinished():
        raise UnfinishedTasks(unfinished)
    report = Report()

    async def move_task(row: int) -> bool | None:
        task = await source.task(row)
        try:
            adopted = await target.task(task, source.log(row))
        except Unreadable:
            report.unreadable.append(task.id)
            return None
        if adopted is Adopted.RUNNING:
            report.running.append(task.id)
            return None
        return adopted is Adopted.WRITTEN

    async def all_of(
        pages: AsyncIterator[Sequence[T]], move: Callable[[T], Awaitable[bool | None]], moved: Moved
    ) -> None:
        async for page in pages:
            for begin in range(0, len(page), AT_ONCE):
                each = await asyncio.gather(*map(move, page[begin : begin + AT_ONCE]))
                moved.copied += each.count(True)
                moved.there += each.count(False)
            progress(report)

    await all_of(source.ended(), move_task, report.tasks)
    await all_of(source.tombstones(), target.tombstone, report.tombstones)
    await all_of(source.keys(), target.key, report.keys)
    await all_of(source.usage(), target.usage, report.usage)
    return report
