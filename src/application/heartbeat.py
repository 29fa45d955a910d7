"""Heartbeat: tells many members now and then that time has passed, by one timer for all.

A timer of its own would cost each of ten thousand readers half a KiB. The members are told in
groups, so that the work is spread over the interval.
"""

import asyncio
from contextvars import Context
from typing import Protocol

import structlog

log = structlog.get_logger(__name__)

GROUPS = 16
SHORTEST_PAUSE = 0.01
"""Seconds between two groups. With a short interval there are fewer groups."""


class Member(Protocol):
    def tick(self) -> None:
        """Time has passed: the interval since the last call, or since the member was added. Must
        not wait."""
        ...


class Heartbeat:
    def __init__(self, interval: float) -> None:
        """`interval`: seconds between two ticks of a member. The first one comes early by up to the
        pause between two groups."""
        groups = max(1, min(GROUPS, int(interval / SHORTEST_PAUSE)))
        self._pause = interval / groups
        self._groups: list[dict[Member, None]] = [{} for _ in range(groups)]
        self._at = 0  # the group that was told last
        self._timer: asyncio.TimerHandle | None = None

    def add(self, member: Member) -> None:
        """Tell a member from now on. It belongs to one event loop with all others."""
        self._groups[self._at][member] = None
        if self._timer is None:
            self._wait()

    def remove(self, member: Member) -> None:
        """Tell a member no more. Safe to call twice."""
        for group in self._groups:
            group.pop(member, None)

    def _wait(self) -> None:
        # The context of the first member would be kept for as long as there are members.
        self._timer = asyncio.get_running_loop().call_later(
            self._pause, self._tick, context=Context()
        )

    def _tick(self) -> None:
        self._timer = None
        if any(self._groups):
            self._wait()
        self._at = (self._at + 1) % len(self._groups)
        for member in tuple(self._groups[self._at]):  # a copy, since a tick may remove members
            try:
                member.tick()
            except Exception:
                log.exception("tick failed")
