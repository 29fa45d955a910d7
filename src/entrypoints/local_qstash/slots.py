"""The lines by their names: `flow:KEY` of a flow-control key, `queue:NAME`, and `$` of what has no
key, as QStash names it. A message holds a slot of its line while it is delivered.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

from entrypoints.local_qstash.bounds import IDLE_FLOWS, PARALLELISM
from entrypoints.local_qstash.line import Clock, Limits, Line, Room

LINGER = 60.0
"""Seconds for which a line is known after its last message, so that it can be looked at."""


@dataclass(frozen=True, slots=True)
class Period:
    """How many have begun in the current period of a rate."""

    name: str
    """That of the line."""
    ends_at: int
    """Milliseconds since the Unix epoch."""
    begun: int


class Slots:
    """A line that nothing uses is dropped some time after its period has ended, or earlier if there
    are more than IDLE_FLOWS of them (the oldest first). One that is paused or pinned stays."""

    def __init__(
        self,
        note: Callable[[Period], Awaitable[None]] | None = None,
        parallelism: int = PARALLELISM,
        clock: Clock | None = None,
    ) -> None:
        """`note`: keeps how many have begun in a period, before each of them does. `parallelism`:
        slots of all lines together; those that are held without `needs_room` do not count. The
        clock is by default the event loop that runs."""
        self._note = note
        self.room = Room(parallelism)
        self._clock: Clock = clock or asyncio.get_running_loop()
        self._lines: dict[str, Line] = {}
        self._idle: dict[str, float] = {}
        """Those that nothing uses, and since when."""

    def __len__(self) -> int:
        return len(self._lines)

    def names(self) -> list[str]:
        self.forget()
        return list(self._lines)

    def get(self, name: str) -> Line | None:
        self.forget()
        return self._lines.get(name)

    def restore(self, periods: Iterable[Period], given: Iterable[tuple[str, Limits]] = ()) -> None:
        """Go on with the periods and the limits of an earlier process; of several limits of a line
        the last one counts. All lines are there until the next is idle: those of the messages that
        are due have been joined by then."""
        for each in periods:
            left = each.ends_at / 1000 - time.time()
            if left > 0:
                line = self._line(each.name)
                line.restore(left, each.begun)
                self._note_idle(each.name, line)
        for name, limits in given:
            line = self._line(name)
            line.give(limits)
            self._idle.pop(name, None)  # the periods without messages are the first to be dropped
            self._note_idle(name, line)

    @contextmanager
    def changed(self, name: str) -> Iterator[Line]:
        """Let the caller change a line, which is created if there is none."""
        line = self._line(name)
        yield line
        self._drop_excess(name, line)

    @asynccontextmanager
    async def hold(
        self, name: str, limits: Limits | None = None, needs_room: bool = True
    ) -> AsyncIterator[None]:
        """Wait for a slot of this line and hold it. `limits`: those of the line if no newer message
        has given it others."""
        line = self._line(name)
        if limits is not None and not line.given:
            line.give(limits)
        turn = asyncio.get_running_loop().create_future()
        line.join(turn, needs_room)
        self._idle.pop(name, None)
        try:
            await turn
            await self.note_period(name)
            yield
        finally:
            line.leave(turn, needs_room)
            self._drop_excess(name, line)

    def paused(self, name: str) -> bool:
        return name in self._lines and self._lines[name].paused

    async def opened(self, name: str) -> None:
        """Wait until this line is not paused, without a slot."""
        line = self._lines.get(name)
        if line is not None and line.paused:
            turn = asyncio.get_running_loop().create_future()
            line.when_open(turn)
            await turn

    def forget(self, linger: float = LINGER) -> None:
        """Drop the lines that nothing has used for so many seconds, and whose period has ended."""
        now = self._clock.time()
        for name, since in list(self._idle.items()):
            if since + linger <= now and self._lines[name].ends <= now:
                del self._idle[name], self._lines[name]

    async def note_period(self, name: str) -> None:
        """Have the period of the rate kept, if there is one."""
        line = self._lines.get(name)
        if self._note is not None and line is not None and line.limits.rate is not None:
            await self._note(Period(name, line.ends_at, line.begun))

    def _line(self, name: str) -> Line:
        line = self._lines.get(name)
        if line is None:
            line = self._lines[name] = Line(self._clock, self.room)
        return line

    def _drop_excess(self, name: str, line: Line) -> None:
        # Of several that are cancelled at the same time, the first may find it idle already.
        if self._lines.get(name) is not line:
            return
        self._note_idle(name, line)
        if len(self._idle) > IDLE_FLOWS:
            self.forget(0.0)
        while len(self._idle) > IDLE_FLOWS:
            oldest = next(iter(self._idle))
            del self._idle[oldest], self._lines[oldest]

    def _note_idle(self, name: str, line: Line) -> None:
        """Note whether nothing uses the line."""
        if line.kept or not line.idle:
            self._idle.pop(name, None)
        else:
            self._idle.setdefault(name, self._clock.time())
