"""StartTask: from a valid request to a task that the queue holds.

A start admits the caller, creates the record and publishes the message (new_tasks). What tells it
apart from other starts is a key of the client (start_with_key), the word of an SDK that repeats its
requests (start_by_sdk), or the turn of a chat (start_in_chat); without any it is always a new one.
"""

from application.accounts import Caller
from application.manage_task import CancelTask, GetTask
from application.model_rules import ANY_MODEL, ModelRules
from application.new_tasks import NewTasks, Started
from application.ports import (
    ORPHAN_TIMEOUT,
    Clock,
    IdempotencyKeys,
    TaskIds,
    TaskLog,
    TaskQueue,
)
from application.quotas import Quotas
from application.shared_key import WAIT
from application.start_by_sdk import StartBySdk, Try
from application.start_in_chat import StartInChat, Turn
from application.start_with_key import StartWithKey
from application.webhooks import NO_WEBHOOKS, WebhookRules
from domain.request import DEFAULT_BOUNDS, RequestBounds, TaskRequest
from domain.task import Task

__all__ = ["StartTask", "Started", "Try", "Turn"]


class StartTask:
    def __init__(
        self,
        tasks: TaskLog,
        keys: IdempotencyKeys,
        queue: TaskQueue,
        clock: Clock,
        ids: TaskIds,
        quotas: Quotas,
        get_task: GetTask,
        cancel_task: CancelTask,
        *,
        bounds: RequestBounds = DEFAULT_BOUNDS,
        wait: float = WAIT,
        webhooks: WebhookRules = NO_WEBHOOKS,
        models: ModelRules = ANY_MODEL,
        orphan_timeout: float = ORPHAN_TIMEOUT,
    ) -> None:
        """`bounds`: of the requests that are accepted. `wait`: seconds for which a start waits for
        another one with the same key, or in the same chat. `orphan_timeout`: that of the log, in
        seconds."""
        self._clock = clock
        self._ids = ids
        self._bounds = bounds
        self._webhooks = webhooks
        self._models = models
        self._new = NewTasks(tasks, keys, queue, clock, quotas, bounds, webhooks, orphan_timeout)
        self._with_key = StartWithKey(tasks, keys, clock, ids, self._new, wait)
        self._by_sdk = StartBySdk(tasks, keys, clock, ids, self._new, wait)
        self._in_chat = StartInChat(
            tasks,
            keys,
            clock,
            ids,
            self._new,
            get_task,
            cancel_task,
            wait=wait,
            kept=bounds.max_ttl,
        )

    async def __call__(
        self,
        request: TaskRequest,
        caller: Caller,
        key: str | Try | Turn | None = None,
        retry_of: str | None = None,
    ) -> Started:
        """Queue a task that the caller will own.

        With an idempotency key (a text), the same request of the same caller within 24 hours
        returns the same task, also when two such requests arrive at once, and when the process that
        handled the first one died before it published. The key becomes free when its task fails or
        is deleted, when the start is refused, and when its task has no record ABANDONED_AFTER
        seconds after the key was bound.

        With a Try, a retry joins the newest task that the caller began by the same request, as
        start_by_sdk tells.

        With a Turn, the task is from then on the newest one of its chat. The same turn, sent again,
        joins it; another one cancels it or is refused, as start_in_chat tells.

        A request that names a previous task is started with the conversation of that task.
        `retry_of`: the task that the new one retries; only without a Try or a Turn.

        Raises InvalidRequest, ModelNotAllowed, PreviousUnusable, OverLimit, IdempotencyConflict
        (only with a key), ChatBusy (only with a Turn), StartUncertain, QueueUnavailable (never with
        a key, a Try or a Turn), QueueRefused or StoreUnavailable.
        """
        self._models.check(request, caller.owner, self._bounds, self._clock.now())
        self._webhooks.check(request, caller.owner)
        if isinstance(key, Try):
            return await self._by_sdk(request, caller, key)
        if isinstance(key, Turn):
            return await self._in_chat(request, caller, key)
        if key is not None:
            return await self._with_key(request, caller, key, retry_of)
        task_id = self._ids.next(self._clock.now())
        created = self._new.created(request, caller, task_id, retry_of)
        async with created as (task, whole, limit_statuses):
            return Started(await self._new.publish(task, whole), limit_statuses)

    async def complete_in_chat(self, task: Task, chat_id: str) -> None:
        """Publish the newest task of a chat if its start died before it did so, as start_in_chat
        tells. Raises StoreUnavailable."""
        await self._in_chat.complete(task, chat_id)
