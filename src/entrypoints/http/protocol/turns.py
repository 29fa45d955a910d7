"""Turns: streams are opened a few at a time.

A request takes some 18 KiB until its response is out, of which a stream keeps 4. When all readers
come back at once, after a restart of their proxy, no response would be out before all requests have
begun, and a process keeps the memory that it once took. A request that awaits its turn is a few
bytes that are not parsed yet, and a start does not wait behind it.
"""

import asyncio
import sys
from collections import OrderedDict
from contextvars import Context
from typing import Protocol

AT_ONCE = 64
LONGEST_STALL = 1.0
"""Seconds in which no turn has ended, as while the store is unavailable, after which as many more
begin."""


class Waiting(Protocol):
    def turn_came(self) -> None:
        """What awaited its turn may begin."""
        ...


class Turns:
    def __init__(self, at_once: int = AT_ONCE, longest_stall: float = LONGEST_STALL) -> None:
        """`at_once`: streams that are being opened. `longest_stall`: see LONGEST_STALL."""
        self._at_once = at_once
        self._longest_stall = longest_stall
        self._begun: set[Waiting] = set()
        self._waiting: OrderedDict[Waiting, None] = OrderedDict()
        self._moved = False  # whether a turn has ended since the last look
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, connection: Waiting) -> bool:
        """Return whether it is the connection's turn. If not, `turn_came` is called later. Who
        comes first begins first."""
        if len(self._begun) < self._at_once and not self._waiting:
            self._begun.add(connection)
        if connection in self._begun:
            return True
        self._waiting[connection] = None
        self._look_later()
        return False

    def end(self, connection: Waiting) -> None:
        """The connection's turn is over, or it waits for none any more. Safe to call twice."""
        self._waiting.pop(connection, None)
        if connection in self._begun:
            self._begun.remove(connection)
            self._moved = True
            self._go_on()

    def let_all_begin(self) -> None:
        """Have nothing wait any more: the server stops."""
        self._at_once = sys.maxsize
        self._go_on()

    def _go_on(self) -> None:
        while self._waiting and len(self._begun) < self._at_once:
            connection, _ = self._waiting.popitem(last=False)
            self._begun.add(connection)
            connection.turn_came()

    def _look_later(self) -> None:
        if self._waiting and self._timer is None:
            self._moved = False
            self._timer = asyncio.get_running_loop().call_later(
                self._longest_stall, self._look, context=Context()
            )

    def _look(self) -> None:
        self._timer = None
        if not self._moved:
            self._begun.clear()
            self._go_on()
        self._look_later()
