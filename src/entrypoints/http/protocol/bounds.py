"""The bounds of a server's connections."""

import time
from dataclasses import dataclass, field

import structlog

from entrypoints.http.protocol.turns import Turns
from entrypoints.http.protocol.unsent import Unsent

log = structlog.get_logger(__name__)

LOG_PAUSE = 10.0
"""Seconds between two log lines that tell of refused connections."""


@dataclass(slots=True)
class Bounds:
    """Bounds of one server, and how often they refused a connection."""

    request_timeout: float
    """Seconds for the head of a request, and again for its body."""
    max_connections: int
    unsent: Unsent
    turns: Turns = field(default_factory=Turns)
    closed: bool = False
    """Whether the server no longer listens."""
    _refused: int = field(default=0, init=False)
    _logged_at: float = field(default=float("-inf"), init=False)

    def refuses(self, connections: int) -> bool:
        """Whether this number of connections is above the bound. If so, it is logged from time to
        time."""
        if connections <= self.max_connections:
            return False
        now = time.monotonic()
        self._refused += 1
        if now - self._logged_at > LOG_PAUSE:
            log.error(
                "connections refused: as many are open as may be",
                open=self.max_connections,
                refused=self._refused,
            )
            self._logged_at, self._refused = now, 0
        return True
