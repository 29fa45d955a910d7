"""What goes on beside the requests for as long as the process keeps its tasks in memory.

Each start drops what has expired. In a process that gets none any more, this does.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from adapters.memory.task_log import MemoryTaskLog
from application.cancellation import end_tasks

PAUSE = 5.0


class MemoryHousekeeping:
    def __init__(self, tasks: MemoryTaskLog, *, pause: float = PAUSE) -> None:
        """`pause`: seconds after which is looked again for what has expired."""
        self._tasks = tasks
        self._pause = pause

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        sweeping = asyncio.create_task(self._keep_sweeping())
        try:
            yield
        finally:
            await end_tasks([sweeping])

    async def _keep_sweeping(self) -> None:
        while True:
            await asyncio.sleep(self._pause)
            self._tasks.drop_expired()
