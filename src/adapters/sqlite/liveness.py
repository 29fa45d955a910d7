"""What is known of unfinished tasks for as long as this process lives: leases, heartbeats, and when
each was last changed.

Nothing of it is in the file. Only one process holds the file, so after a restart no attempt can
have a lease, and every unfinished task begins with a fresh heartbeat; those of delayed tasks are
noted once more. All times are those of the awake clock.

The writer thread and the event loop both use it. A lease belongs to the number of an attempt, so
one that was noted by a write that did not count means nothing.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass

LONGEST_READ = 30.0
"""Seconds for which a thread may still read a snapshot of the file."""


@dataclass(slots=True)
class _Signs:
    heartbeat: float
    changed: float
    attempt: int = 0
    """The attempt that has the lease, 0 for none."""
    leased_until: float = 0.0


class Liveness:
    def __init__(self, ttl: float, orphan_timeout: float, clock: Callable[[], float]) -> None:
        self._ttl = ttl
        self._orphan_timeout = orphan_timeout
        self._clock = clock
        self._opened = clock()
        self._signs: dict[str, _Signs] = {}
        self._forgotten: dict[str, float] = {}
        """By task, in the order of time: when it was forgotten."""
        self._forgetting = threading.Lock()

    def beat(self, task_id: str, delay: float = 0.0) -> None:
        """Note a heartbeat, which is a change too. `delay`: seconds for which the queue holds the
        task back. Its times count from their end on, whatever is noted until then."""
        signs, now = self._of(task_id), self._clock() + delay
        signs.heartbeat, signs.changed = max(signs.heartbeat, now), max(signs.changed, now)

    def lease(self, task_id: str, attempt: int, seconds: float) -> None:
        """Lease the task to an attempt that begins."""
        signs, now = self._of(task_id), self._clock()
        signs.heartbeat = signs.changed = now
        signs.attempt, signs.leased_until = attempt, now + seconds

    def wrote(self, task_id: str, attempt: int, seconds: float) -> None:
        """Renew the lease of an attempt that has added to the log."""
        signs, now = self._of(task_id), self._clock()
        signs.changed = now
        signs.attempt, signs.leased_until = attempt, now + seconds

    def renew(self, task_id: str, attempt: int, seconds: float) -> bool:
        """Renew a lease. Return False, having done nothing, if it is not this attempt's."""
        signs = self._signs.get(task_id)
        if signs is None or signs.attempt != attempt:
            return False
        now = self._clock()
        signs.heartbeat = signs.changed = now
        signs.leased_until = now + seconds
        return True

    def release(self, task_id: str, attempt: int) -> None:
        """End the lease of an attempt, unless the next one has it by now; this is a heartbeat."""
        signs = self._of(task_id)
        if signs.attempt == attempt:
            signs.attempt = 0
        self.beat(task_id)

    def forget(self, task_id: str) -> None:
        """Drop what is known of a task that has ended or is gone. A thread that reads an older
        snapshot of the file still sees it unfinished: for such a one it has not expired."""
        now = self._clock()
        with self._forgetting:
            self._forgotten[task_id] = now
            while (oldest := next(iter(self._forgotten))) != task_id and (
                now - self._forgotten[oldest] > LONGEST_READ
            ):
                del self._forgotten[oldest]
        self._signs.pop(task_id, None)

    def lease_left(self, task_id: str, attempt: int) -> float:
        """Return for how many seconds an attempt has the lease: none if 0 or less."""
        signs = self._signs.get(task_id)
        if signs is None or signs.attempt != attempt:
            return 0.0
        return signs.leased_until - self._clock()

    def is_orphaned(self, task_id: str) -> bool:
        """Whether an unfinished task had no heartbeat for the orphan timeout."""
        signs = self._signs.get(task_id)
        heartbeat = self._opened if signs is None else signs.heartbeat
        return self._clock() - heartbeat >= self._orphan_timeout

    @property
    def may_expire(self) -> bool:
        """Whether this process lives long enough that an unfinished task may have expired."""
        return self._clock() - self._opened >= self._ttl

    def is_expired(self, task_id: str) -> bool:
        """Whether an unfinished task was not changed for the time to live."""
        signs = self._signs.get(task_id)
        if signs is None and task_id in self._forgotten:
            return False
        changed = self._opened if signs is None else signs.changed
        return self._clock() - changed >= self._ttl

    def _of(self, task_id: str) -> _Signs:
        signs = self._signs.get(task_id)
        if signs is None:
            signs = self._signs[task_id] = _Signs(self._opened, self._opened)
        return signs
