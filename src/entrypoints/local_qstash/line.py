"""A line: what waits for the same flow-control key or queue, and when the next of it may begin.

It knows no event loop: a clock tells it the time and calls it back, and what waits are futures that
it resolves. Source of the rules: QStash's documentation, features/flowcontrol and features/queues,
and the description of `/v2/flowControl`.
"""

import time
from asyncio import Future
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

Turn = Future[None]
"""Resolved once what waits for it may begin."""


class Timer(Protocol):
    def cancel(self) -> None: ...


class Clock(Protocol):
    """As much of an event loop as a line needs."""

    def time(self) -> float:
        """Return seconds that only grow."""

    def call_at(self, when: float, callback: Callable[[], Any]) -> Timer: ...


@dataclass(frozen=True, slots=True)
class Limits:
    parallelism: int | None = None
    """How many may be under way at the same time."""
    rate: int | None = None
    """How many may begin within a period. Its first one begins the period."""
    period: float = 1.0
    """Seconds."""


class Room:
    """How many may be under way at the same time in all lines together. Lines that wait for it get
    it in turn, one each."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0
        self._waiting: OrderedDict[Line, None] = OrderedDict()

    @property
    def full(self) -> bool:
        return self.held >= self.limit

    def acquire(self, line: "Line") -> bool:
        """Return whether this line has got a slot. If not, it waits for one."""
        if self.full:
            self._waiting.setdefault(line)
            return False
        self.held += 1
        return True

    def release(self) -> None:
        self.held -= 1
        while self._waiting and not self.full:
            self._waiting.popitem(last=False)[0].admit()


class Line:
    """Those that wait begin in the order in which they came."""

    def __init__(self, clock: Clock, room: Room) -> None:
        self._clock = clock
        self._room = room
        self._given: Limits | None = None
        self._parallelism: int | None = None
        self._rate: tuple[int, float] | None = None
        self.limits = Limits()
        """Those that are in force: what is pinned, else what the newest message says."""
        self._paused = False
        self._waiting: OrderedDict[Turn, bool] = OrderedDict()
        """Whether it needs a slot of the room."""
        self._until_open: set[Turn] = set()
        self._timer: Timer | None = None
        self._wakes = 0.0
        self.held = 0
        """How many are under way."""
        self._begun = 0
        self.ends = 0.0
        """When the period of the rate ends, by the clock."""
        self.ends_at = 0
        """The same in milliseconds since the Unix epoch."""

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def idle(self) -> bool:
        """Whether nothing uses it."""
        return not (self.held or self._waiting or self._until_open)

    @property
    def kept(self) -> bool:
        """Whether it must stay known although nothing uses it."""
        return self._paused or self.pinned_parallelism or self.pinned_rate

    @property
    def paused(self) -> bool:
        return self._paused

    @property
    def pinned_parallelism(self) -> bool:
        return self._parallelism is not None

    @property
    def pinned_rate(self) -> bool:
        return self._rate is not None

    @property
    def given(self) -> bool:
        return self._given is not None

    @property
    def begun(self) -> int:
        """How many have begun in the current period of the rate."""
        return self._begun if self._clock.time() < self.ends else 0

    def give(self, limits: Limits) -> None:
        """Follow the limits of a newer message."""
        if limits != self._given:
            self._given = limits
            self._follow()
            self.admit()

    def pin(self, parallelism: int | None, rate: tuple[int, float] | None) -> None:
        """Follow these limits whatever messages say. None: as before. The rate begins anew."""
        self._parallelism = self._parallelism if parallelism is None else parallelism
        self._rate = self._rate if rate is None else rate
        self._follow()
        self.reset()

    def unpin(self, *, parallelism: bool, rate: bool) -> None:
        """Follow new messages again, with their parallelism, their rate, or both. Until one says
        something else, what was pinned goes on."""
        given, pinned = self._given or Limits(), self.limits
        if parallelism and self._parallelism is not None:
            given, self._parallelism = replace(given, parallelism=pinned.parallelism), None
        if rate and self._rate is not None:
            given, self._rate = replace(given, rate=pinned.rate, period=pinned.period), None
        self._given = given

    def pause(self) -> None:
        """Let nothing begin. The period of the rate goes on."""
        self._paused = True

    def resume(self) -> None:
        self._paused = False
        for turn in self._until_open:
            if not turn.done():
                turn.set_result(None)
        self.admit()

    def reset(self) -> None:
        """End the period of the rate and begin one now."""
        self.restore(self.limits.period, 0)
        self.admit()

    def restore(self, left: float, begun: int) -> None:
        """Set the period of the rate: it ends in `left` seconds, but lasts no longer than the
        limits say that are in force."""
        left = left if self.limits.rate is None else min(left, self.limits.period)
        self._begun = begun
        self.ends = self._clock.time() + left
        self.ends_at = int(1000 * (time.time() + left))

    def join(self, turn: Turn, needs_room: bool) -> None:
        self._waiting[turn] = needs_room
        self.admit()

    def leave(self, turn: Turn, needs_room: bool) -> None:
        """Whether it waits or is under way."""
        self._waiting.pop(turn, None)
        if turn.done() and not turn.cancelled():
            self.held -= 1
            if needs_room:
                self._room.release()
        self.admit()

    def when_open(self, turn: Turn) -> None:
        """Resolve it once the line is not paused: for what is under way, but waits."""
        if self._paused:
            self._until_open.add(turn)
            turn.add_done_callback(self._until_open.discard)
        else:
            turn.set_result(None)

    def admit(self) -> None:
        """Let all begin that may. The other methods do this too."""
        limits = self.limits
        while self._waiting and not self._paused:
            if limits.parallelism is not None and self.held >= limits.parallelism:
                return
            now = self._clock.time()
            if limits.rate is not None and now < self.ends and self._begun >= limits.rate:
                self._wake_at_end()
                return
            turn, needs_room = next(iter(self._waiting.items()))
            if turn.done():  # it is cancelled, and about to leave
                del self._waiting[turn]
                continue
            if needs_room and not self._room.acquire(self):
                return
            del self._waiting[turn]
            self.held += 1
            if limits.rate is not None:
                if now >= self.ends:
                    self.restore(limits.period, 0)
                self._begun += 1
            turn.set_result(None)

    def _follow(self) -> None:
        given = self._given or Limits()
        parallelism = given.parallelism if self._parallelism is None else self._parallelism
        rate, period = (given.rate, given.period) if self._rate is None else self._rate
        self.limits = Limits(parallelism, rate, period)
        left = self.ends - self._clock.time()
        if rate is not None and left > period:
            self.restore(left, self._begun)

    def _wake_at_end(self) -> None:
        if self._timer is not None:
            if self._wakes == self.ends:
                return
            self._timer.cancel()
        self._wakes = self.ends
        self._timer = self._clock.call_at(self.ends, self._wake)

    def _wake(self) -> None:
        self._timer = None
        self.admit()
