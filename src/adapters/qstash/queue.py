"""TaskQueue on QStash's HTTP API, v2."""

import asyncio
import math
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast
from urllib.parse import quote

import httpx
import structlog
from qstash import AsyncQStash
from qstash.errors import (
    DailyMessageLimitExceededError,
    QStashError,
    RateLimitExceededError,
)
from qstash.message import BatchRequest, BatchResponse, PublishResponse

from adapters.batching import MicroBatcher
from adapters.qstash.clock import QueueClock
from adapters.qstash.flow import flow_of
from adapters.qstash.message import MESSAGE_LIMIT, encode, encode_announcement, encode_guard
from adapters.qstash.responses import UnreadableResponse, watch_responses
from adapters.qstash.retry_policies import RetryPolicies
from adapters.qstash.sdk_internals import http_client_of, is_server_fault
from application.errors import QueueRefused, QueueUnavailable
from application.ports import Announcement, Guard, TaskQueue
from domain.flow_control import NO_SHARES, Shares
from domain.request import TaskRequest
from domain.task import Task

log = structlog.get_logger(__name__)

T = TypeVar("T")
_Message = dict[str, Any]  # the parameters of the SDK's publish

CALLS, BATCH, BATCHED_SIZE = 4, 32, 32 * 1024
"""Calls under way at the same time, above which messages wait for each other; messages in one call;
and characters of a message above which it is published by a call of its own."""
PAUSE = 0.005
"""Seconds that a message waits for others while a call is under way. QStash takes longer to respond
to a call, so a busy process makes few calls and no caller notices the pause."""
RATE_LIMIT_PAUSE = 60.0
"""Seconds to wait at QStash's rate limit. The reset header is a time by QStash's clock."""
ERROR_LIMIT = 300
"""Characters of an error that are kept: the SDK puts the whole body into its message."""
_MESSAGE_ID = re.compile(r"[!-~]{1,500}")


@dataclass(frozen=True, slots=True)
class _Wanted:
    task_id: str
    message: _Message
    deadline: float
    """By the event loop's clock."""


class QStashQueue(TaskQueue):
    def __init__(
        self,
        token: str,
        url: str,
        webhook_url: str,
        failure_url: str,
        retries: int,
        retry_delay: str,
        timeout: float,
        delivery_timeout: float | None,
        forwarded: Callable[[], dict[str, str]] = dict,
        clock: QueueClock | None = None,
        max_message_bytes: int = MESSAGE_LIMIT,
        redact_bodies: bool = False,
        shares: Shares = NO_SHARES,
    ) -> None:
        """QStash delivers to `webhook_url`, and reports failures to `failure_url`. `retry_delay` is
        an expression in milliseconds (`Upstash-Retry-Delay`), since QStash's own back-off begins at
        12 s. In seconds, `timeout` bounds each method here, waiting for other calls included, and
        `delivery_timeout` each of QStash's calls to this service. Each delivery carries the headers
        that `forwarded` returns. `clock` learns from each response. A message of more than
        `max_message_bytes` is published without its request. With `redact_bodies` QStash's
        console and API show a hash in place of each message's body; it delivers the body itself.
        `shares`: by which it holds the tasks of each owner back, and nothing else: a guard or an
        announcement never waits for a task."""
        # The SDK tries again only if no response came, and counts its own pauses in milliseconds.
        self._client = AsyncQStash(
            token, base_url=url, retry={"retries": 2, "backoff": lambda n: 100.0 * 2**n}
        )
        self._http = http_client_of(self._client)
        watch_responses(self._http, clock or QueueClock())
        self._webhook_url = webhook_url
        self._retries = retries
        self._policies = RetryPolicies(failure_url, retries, retry_delay, redacted=redact_bodies)
        self._timeout = timeout
        self._max_message_bytes = max_message_bytes
        self._forwarded = forwarded
        self._shares = shares
        self._batched = MicroBatcher(
            self._publish_all,
            max_calls=CALLS,
            max_items=BATCH,
            pause=PAUSE,
            abandoned=_tell_of_late,
        )
        # The SDK writes a number as seconds, the way of QStash: "90s".
        self._delivery_timeout = None if delivery_timeout is None else math.ceil(delivery_timeout)

    async def aclose(self) -> None:
        await self._http.aclose()

    async def enqueue(self, task: Task, request: TaskRequest, occasion: str = "") -> str:
        bounds = self._retries, self._max_message_bytes, self._policies.retry_delay
        body = encode(task, request, *bounds)
        name = f"{task.id}-{occasion}" if occasion else task.id
        rest = self._policies.task()
        if (flow := flow_of(task.owner, request.flow_control, self._shares)) is not None:
            rest["flow_control"] = flow
        # Not as a time of day: the clock of QStash may be another.
        return await self._enqueue(task.id, body, name, task.delay_left(_now()), rest)

    async def enqueue_guard(self, guard: Guard, delay: float) -> str:
        name = f"guard-{guard.task_id}" + (f"-{guard.round}" if guard.round else "")
        return await self._enqueue(
            guard.task_id, encode_guard(guard), name, delay, self._policies.guard()
        )

    async def enqueue_announcement(self, announcement: Announcement, delay: float = 0.0) -> str:
        name = f"webhook-{announcement.task_id}-{announcement.number}-{announcement.round}"
        if announcement.uncalled:
            name += f"-again-{announcement.uncalled}"
        body, policy = encode_announcement(announcement), self._policies.announcement()
        return await self._enqueue(announcement.task_id, body, name, delay, policy)

    async def _enqueue(
        self, task_id: str, body: bytes, name: str, delay: float, rest: _Message
    ) -> str:
        """Publish a message about a task once. `name`: tells it from others. `delay`: seconds
        before which it is not to be delivered. `rest`: what becomes of it if that fails, and what
        holds it back."""
        message = _Message(
            url=self._webhook_url,
            body=body.decode(),
            content_type="application/json",
            headers=self._forwarded(),  # the SDK marks them as to be forwarded
            deduplication_id=name,
            **(_Message(label="longtask") | rest),
        )
        if delay > 0:
            message["delay"] = math.ceil(delay)
        if self._delivery_timeout is not None:
            message["timeout"] = self._delivery_timeout
        deadline = asyncio.get_running_loop().time() + self._timeout
        wanted = _Wanted(task_id, message, deadline)
        try:
            async with asyncio.timeout_at(deadline):
                if len(body) > BATCHED_SIZE:
                    return await self._publish(wanted)
                return await self._batched(wanted)
        except TimeoutError:
            raise QueueUnavailable(f"no response from the queue in {self._timeout:g} s") from None

    async def _publish_all(self, wanted: Sequence[_Wanted]) -> Sequence[str | Exception]:
        """Publish in one call. If QStash refuses any message, or its response does not say what
        became of each, publish each by itself: a message that QStash already has gets the same id
        again."""
        if len(wanted) > 1:
            try:
                return await self._publish_batch(wanted)
            except (QueueRefused, UnreadableResponse) as error:
                log.warning("batch refused as a whole", error=str(error), messages=len(wanted))
        return await asyncio.gather(*map(self._attempt, wanted))

    async def _publish_batch(self, wanted: Sequence[_Wanted]) -> Sequence[str]:
        """The call lasts until the last of the callers gives up."""
        batch = cast("list[BatchRequest]", [each.message for each in wanted])
        deadline = max(each.deadline for each in wanted)
        responses = await self._call(self._client.message.batch(batch), deadline)
        if len(responses) != len(wanted):
            raise UnreadableResponse(
                f"{len(responses)} responses of the queue to {len(wanted)} messages"
            )
        return [_message_id(each, BatchResponse) for each in responses]

    async def _attempt(self, wanted: _Wanted) -> str | Exception:
        try:
            return await self._publish(wanted)
        except (QueueUnavailable, QueueRefused) as error:
            return error

    async def _publish(self, wanted: _Wanted) -> str:
        if asyncio.get_running_loop().time() >= wanted.deadline:
            raise QueueUnavailable("the queue had no time left for the message")
        response = await self._call(self._client.message.publish(**wanted.message), wanted.deadline)
        return _message_id(response, PublishResponse)

    async def withdraw(self, message_id: str) -> bool:
        try:
            await self._call(self._client.message.cancel(quote(message_id, safe="")))
        except QueueRefused:
            return False
        return True

    async def check(self) -> None:
        await self.signing_keys()

    async def signing_keys(self) -> tuple[str, str]:
        """What QStash signs deliveries with now, and will after a rotation. Raises
        QueueUnavailable or QueueRefused."""
        keys = await self._call(self._client.signing_key.get())
        if not all(isinstance(key, str) and key.strip() for key in (keys.current, keys.next)):
            raise UnreadableResponse("the queue's response holds no signing keys")
        return keys.current, keys.next

    async def parallelism(self) -> int | None:
        """Return how many messages QStash delivers at the same time, of all keys together. None if
        it does not tell. Raises QueueUnavailable or QueueRefused."""
        told = await self._call(self._client.flow_control.get_global_parallelism())
        most: object = told.parallelism_max
        return most if isinstance(most, int) and most > 0 else None

    async def _call(self, request: Awaitable[T], deadline: float | None = None) -> T:
        """At most until `deadline`, or for the time-out."""
        if deadline is None:
            deadline = asyncio.get_running_loop().time() + self._timeout
        try:
            async with asyncio.timeout_at(deadline):
                return await request
        except (RateLimitExceededError, DailyMessageLimitExceededError) as error:
            raise QueueUnavailable(str(error)[:ERROR_LIMIT], RATE_LIMIT_PAUSE) from error
        except QStashError as error:
            message = str(error)[:ERROR_LIMIT]
            fault = QueueUnavailable if is_server_fault(error) else QueueRefused
            raise fault(message) from error
        except (httpx.HTTPError, TimeoutError) as error:
            raise QueueUnavailable(f"{type(error).__name__} from the queue") from error
        except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
            # The SDK raises these when it reads JSON of another shape, or no JSON at all.
            reason = f"the queue's response cannot be read ({type(error).__name__})"
            raise UnreadableResponse(reason) from error
        except RuntimeError as error:  # httpx: the client was closed, this process is stopping
            raise QueueUnavailable(f"no call to the queue: {error}") from error


def _now() -> int:
    return time.time_ns() // 1_000_000


def _message_id(response: object, kind: type[PublishResponse | BatchResponse]) -> str:
    """Raises UnreadableResponse."""
    if not isinstance(response, kind):
        raise UnreadableResponse("the queue's response was not that of one destination")
    message_id: object = response.message_id
    if not isinstance(message_id, str) or not _MESSAGE_ID.fullmatch(message_id):
        raise UnreadableResponse("the queue's response holds no message id")
    return message_id


def _tell_of_late(wanted: _Wanted, result: str | Exception) -> None:
    """Log a message that QStash accepted after its start had been told that the queue did not
    respond. The delivery finds the task failed, or the same start, sent again, goes on with the
    task (application/start_task.py)."""
    if isinstance(result, str):
        log.warning("queue accepted a task too late", task_id=wanted.task_id, message_id=result)
