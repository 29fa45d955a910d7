"""WatchTasks: open a watch of an owner's tasks, within this process's limit of watches."""

from application.errors import TooManyStreams
from application.heartbeat import Heartbeat
from application.owner_watch import OwnerWatch, WatchContext
from application.ports import ChangeFeed, Clock, TaskIndex
from application.reap import FailOrphanedTasks

BEGINNING = 3_600_000
"""Milliseconds before now at which a watch without a cursor begins."""
OVERLAP = 60_000
"""Milliseconds before now at which a watch begins at the latest if the index does not have the
entry of its cursor: the store may have lost its end, and its clock may be behind since."""


class WatchTasks:
    def __init__(
        self,
        index: TaskIndex,
        feed: ChangeFeed,
        clock: Clock,
        fail_if_orphaned: FailOrphanedTasks,
        *,
        ping_interval: float,
        max_watchers: int,
    ) -> None:
        """`ping_interval`: seconds without anything else after which a watch pings. `max_watchers`:
        open watches in this process."""
        self._clock = clock
        self._max_watchers = max_watchers
        self._open = 0
        self._context = WatchContext(
            index, feed, clock, fail_if_orphaned, Heartbeat(ping_interval / 2), self._release
        )

    async def __call__(self, owner: str | None, since: int | None) -> OwnerWatch:
        """Return a watch of the owner's tasks. It tells of every task that has not ended, of those
        that have ended since the cursor `since` (None: in the last hour), and then of each change.
        Some that were told before the cursor may be told again. The caller iterates over it once,
        and closes it. Raises TooManyStreams or StoreUnavailable."""
        if self._open >= self._max_watchers:
            raise TooManyStreams
        self._open += 1  # before the first await: else concurrent calls would exceed the limit
        try:
            watch = OwnerWatch(owner, await self._begin(owner, since), self._context)
            await self._context.feed.watch(owner, watch)
        except BaseException:
            self._release()
            raise
        return watch

    async def _begin(self, owner: str | None, since: int | None) -> int:
        """Return the cursor to begin at."""
        now = self._clock.now()
        if since is not None:
            found = await self._context.index.ended(owner, since - 1, 1)
            if any(each.cursor == since for each in found):
                return since
            if since <= now:
                return min(since, now - OVERLAP)
        return now - BEGINNING

    def _release(self) -> None:
        self._open -= 1
