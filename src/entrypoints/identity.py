"""The system's time and randomness, as the ports Clock and TaskIds."""

import secrets
import time

from application.ports import Clock, TaskIds


class SystemClock(Clock):
    def now(self) -> int:
        return time.time_ns() // 1_000_000


class RandomTaskIds(TaskIds):
    def next(self, now: int) -> str:
        return f"task_{now}_{secrets.token_hex(12)}"
