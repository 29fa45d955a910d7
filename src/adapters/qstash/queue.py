"""TaskQueue on QStash's HTTP API, v2."""

import asyncio
import contextlib
import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar, cast

import httpx
from qstash import AsyncQStash
from qstash.errors import (
    DailyMessageLimitExceededError,
    QStashError,
    RateLimitExceededError,
)
from qstash.message import BatchRequest, BatchResponse, PublishResponse

from adapters.qstash.message import encode
from application.gathering import Gathering
from application.ports import QueueRefused, QueueUnavailable
from domain.task import Task

T = TypeVar("T")
_Message = dict[str, Any]  # the parameters of the SDK's publish

CALLS, BATCH, BATCHED_SIZE = 4, 32, 32 * 1024
"""Calls under way at once, above which messages wait for each other; messages in one call; and
characters of a message above which it goes by itself."""
PAUSE = 0.005
"""Seconds that a message waits for others while a call is under way: less than QStash takes to
answer one, so that a busy process makes few calls and nobody notices."""
RATE_LIMIT_PAUSE = 60.0
"""Seconds to wait at QStash's rate limit. Its reset header is a moment of its own clock."""


class QStashQueue:
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
    ) -> None:
        """`webhook_url` and `failure_url` are where QStash reaches us. `retry_delay` is an
        expression in milliseconds (`Upstash-Retry-Delay`), since QStash's own back-off begins at
        12 s. `timeout` bounds each call here, `delivery_timeout` each of QStash's to us, in
        seconds. The headers that `forwarded` gives come with each delivery."""
        # The SDK tries again only where no answer came, and counts its own pauses in milliseconds.
        self._client = AsyncQStash(
            token, base_url=url, retry={"retries": 2, "backoff": lambda n: 100.0 * 2**n}
        )
        self._webhook_url = webhook_url
        self._failure_url = failure_url
        self._retries = retries
        self._retry_delay = retry_delay
        self._timeout = timeout
        self._forwarded = forwarded
        self._gathered = Gathering(self._publish_all, at_once=CALLS, limit=BATCH, pause=PAUSE)
        # The SDK writes a number as seconds, the way of QStash: "90s".
        self._delivery_timeout = None if delivery_timeout is None else math.ceil(delivery_timeout)

    async def aclose(self) -> None:
        # The SDK offers no way to close the client that it holds.
        await self._client.http._client.aclose()

    async def enqueue(self, task: Task, occasion: str = "") -> str:
        body = encode(task, self._retries).decode()
        message = _Message(
            url=self._webhook_url,
            body=body,
            content_type="application/json",
            headers=self._forwarded(),  # the SDK marks them as to be forwarded
            retries=self._retries,
            retry_delay=self._retry_delay,
            failure_callback=self._failure_url,
            deduplication_id=f"{task.id}-{occasion}" if occasion else task.id,
            label="longtask",
        )
        if self._delivery_timeout is not None:
            message["timeout"] = self._delivery_timeout
        if len(body) > BATCHED_SIZE:
            return await self._publish(message)
        return await self._gathered(message)

    async def _publish_all(self, messages: Sequence[_Message]) -> Sequence[str | Exception]:
        """In one call, unless there is only one. If QStash refuses any of them, each by itself:
        one that it took already has the same id again."""
        if len(messages) > 1:
            batch = cast("list[BatchRequest]", messages)
            with contextlib.suppress(QueueRefused, LookupError):
                answers = await self._call(self._client.message.batch(batch))
                return [each.message_id for each in answers if isinstance(each, BatchResponse)]
        return await asyncio.gather(*map(self._attempt, messages))

    async def _attempt(self, message: _Message) -> str | Exception:
        try:
            return await self._publish(message)
        except (QueueUnavailable, QueueRefused) as error:
            return error

    async def _publish(self, message: _Message) -> str:
        answer = await self._call(self._client.message.publish(**message))
        if not isinstance(answer, PublishResponse):
            raise QueueRefused("the queue's answer was not that of one destination")
        return answer.message_id

    async def withdraw(self, message_id: str) -> bool:
        try:
            await self._call(self._client.message.cancel(message_id))
        except QueueRefused:
            return False
        return True

    async def check(self) -> None:
        await self.signing_keys()

    async def signing_keys(self) -> tuple[str, str]:
        """What QStash signs deliveries with now, and will after a rotation. Raises
        QueueUnavailable or QueueRefused."""
        keys = await self._call(self._client.signing_key.get())
        return keys.current, keys.next

    async def _call(self, request: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(self._timeout):
                return await request
        except (RateLimitExceededError, DailyMessageLimitExceededError) as error:
            raise QueueUnavailable(str(error), RATE_LIMIT_PAUSE) from error
        except QStashError as error:
            raise QueueRefused(str(error)) from error
        except (httpx.HTTPError, TimeoutError) as error:
            raise QueueUnavailable(f"{type(error).__name__} from the queue") from error
