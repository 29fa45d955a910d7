"""When each schedule is due. Times are in milliseconds since the Unix epoch.

A schedule that was due more than a minute ago is passed over, whether no process ran, the machine
was suspended, or its clock was set: QStash's documentation promises no messages for the past, and a
burst of them after a weekend would be of no use.
"""

import structlog

from entrypoints.local_qstash.cron import next_time
from entrypoints.local_qstash.refusals import BadMessage

log = structlog.get_logger(__name__)

LATE = 60_000
"""Milliseconds: as long as a schedule's shortest period."""


class Timetable:
    def __init__(self) -> None:
        self._crons: dict[str, str] = {}
        self._next: dict[str, int] = {}
        self._seen = 0

    def put(self, schedule_id: str, cron: str, now: int) -> None:
        """Let the schedule be due by this expression, beginning behind `now`. Raises BadMessage."""
        self._next[schedule_id] = next_time(cron, now)
        self._crons[schedule_id] = cron

    def follow(self, schedule_id: str, cron: str, now: int) -> None:
        """As `put`, for a schedule that was put before. It is dropped if its expression has become
        a bad one, by another version of the time zones."""
        try:
            self.put(schedule_id, cron, now)
        except BadMessage as error:
            self.drop(schedule_id)
            log.error("schedule is not followed", schedule_id=schedule_id, error=str(error))

    def drop(self, schedule_id: str) -> None:
        self._crons.pop(schedule_id, None)
        self._next.pop(schedule_id, None)

    def next_of(self, schedule_id: str) -> int | None:
        """Return when it is due next, None if it is not in the timetable."""
        return self._next.get(schedule_id)

    def earliest(self) -> int | None:
        """Return when the first one is due."""
        return min(self._next.values(), default=None)

    def take_due(self, now: int) -> dict[str, int]:
        """Return the schedules that are due, and when they were. Each is then due again at its
        first time behind `now`."""
        if now < self._seen - LATE:  # the clock was set back
            for each, cron in list(self._crons.items()):
                self.follow(each, cron, now)
        self._seen = now
        due = {each: at for each, at in self._next.items() if at <= now}
        for each in due:
            self.follow(each, self._crons[each], now)
        followed = {each: at for each, at in due.items() if each in self._next}
        noticed = {each: self._in_time(each, at, now) for each, at in followed.items()}
        return {each: at for each, at in noticed.items() if at <= now}

    def _in_time(self, schedule_id: str, at: int, now: int) -> int:
        """Return `at` if that was less than a minute ago, else the first time since then."""
        return at if now - at < LATE else next_time(self._crons[schedule_id], now - LATE)
