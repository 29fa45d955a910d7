"""What the file needs of its tasks beside the requests: those that run no more, those that are
delayed, and the removal of what is over (called by housekeeping.py)."""

from collections.abc import Callable, Sequence

from adapters.database import Database
from adapters.sqlite.errors import translated_errors
from adapters.sqlite.liveness import Liveness
from adapters.sqlite.records import Records
from adapters.sqlite.sweeping import delayed, running_ids, sweep, unfinished


class Upkeep:
    """Every method may raise StoreUnavailable."""

    def __init__(
        self, database: Database, records: Records, live: Liveness, now: Callable[[], int]
    ) -> None:
        """`now`: gives the time in ms since 1970."""
        self._database = database
        self._records = records
        self._live = live
        self._now = now
        self._looked_at = 0
        """The last row that `_expire_unfinished` has looked at."""

    async def interrupted(self) -> Sequence[str]:
        """Return the ids of the tasks that are running. At the beginning no attempt of theirs can
        be alive."""
        with translated_errors():
            return await self._database.read(running_ids)

    async def note_delays(self) -> None:
        """Note which tasks are delayed, and for how long yet: as long as the process did that began
        them, this one counts their times from the end of their delay."""
        now = self._now()
        with translated_errors():
            found = await self._database.read(lambda connection: delayed(connection, now))
        for task_id, not_before in found:
            self._live.beat(task_id, (not_before - now) / 1000)

    async def sweep(self) -> bool:
        """Remove some of what is over; return whether there may be more."""
        with translated_errors():
            if self._live.may_expire:
                await self._expire_unfinished()
            return await self._database.write(
                lambda transaction: sweep(transaction, self._now()), durable=False
            )

    async def _expire_unfinished(self) -> None:
        """Let expire, of a number of unfinished tasks, those that were not changed for the time to
        live."""
        looked_at = self._looked_at
        found = await self._database.read(lambda connection: unfinished(connection, looked_at))
        self._looked_at = found[-1][0] if found else 0
        over = [task_id for _, task_id in found if self._live.is_expired(task_id)]
        if over:
            await self._database.write(
                lambda transaction: self._records.expire(transaction, over), durable=False
            )
