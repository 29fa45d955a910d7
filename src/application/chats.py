"""Chats: each points to its newest task.

The newest task is remembered as the binding of a key, which start_in_chat writes.
"""

import asyncio
import time

from application.errors import DeletedTask, UnknownTask
from application.manage_task import GetTask
from application.ports import Binding, IdempotencyKeys
from application.shared_key import FIRST_PAUSE, LONGEST_PAUSE, WAIT, KeyFree, KeyInUse
from domain.task import Task

UNRECORDED = 10.0
"""Seconds after which a start in a chat has created its record, or has died or is frozen."""


class Chats:
    def __init__(self, keys: IdempotencyKeys, get_task: GetTask, *, wait: float = WAIT) -> None:
        """`wait`: seconds for which a reader waits for a start to create its record."""
        self._keys = keys
        self._get_task = get_task
        self._wait = wait

    async def newest(self, chat_id: str, owner: str | None = None) -> Task | None:
        """Return the record of the newest task of this owner's chat, or None if there is none: no
        task was ever started in the chat, or the newest one was deleted or has expired. Waits for a
        task whose start is in progress. Raises StoreUnavailable."""
        until, pause = time.monotonic() + self._wait, FIRST_PAUSE
        while (binding := await self._keys.find(chat_key(chat_id, owner))) is not None:
            newest = await newest_task(binding, owner, self._get_task)
            if isinstance(newest, Task):
                return newest
            if isinstance(newest, KeyFree) or time.monotonic() + pause > until:
                return None
            await asyncio.sleep(pause)
            pause = min(LONGEST_PAUSE, pause * 2)
        return None


async def newest_task(
    binding: Binding, owner: str | None, get_task: GetTask
) -> Task | KeyInUse | KeyFree:
    """Return what became of the task that a chat points to. Raises StoreUnavailable."""
    try:
        return await get_task.record(binding.task_id, owner)
    except DeletedTask:
        return KeyFree()
    except UnknownTask:
        return KeyFree() if binding.age > UNRECORDED else KeyInUse(binding)


def chat_key(chat_id: str, owner: str | None) -> str:
    """Return the key of a chat. No idempotency key of a client can be the same, even together with
    its owner's name: it has fewer lines."""
    return f"chat\n{owner or ''}\n{chat_id}"
