"""What the ways through redis-py share: its errors, and its pub/sub connections.

Pub/sub connections are our own to make again, since redis-py would do so without a word, and what
was published in between would be missed.
"""

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Iterator, Sequence
from traceback import walk_tb
from typing import Any

from redis.asyncio.client import PubSub
from redis.exceptions import NoScriptError, RedisClusterException, RedisError, ResponseError

from adapters.redis.errors import UnknownScript, error_response
from application.cancellation import end_tasks
from application.errors import StoreUnavailable

PING_INTERVAL = 1.0
"""Seconds without a message after which a pub/sub server is pinged."""
UNANSWERED_LIMIT = 2
"""Pings without a response after which the connection counts as lost: one that died silently is
noticed within three seconds."""


@contextlib.contextmanager
def translated_errors() -> Iterator[None]:
    """Raise what redis-py raises as UnknownScript or StoreUnavailable."""
    try:
        yield
    except NoScriptError as error:
        raise UnknownScript from error
    except ResponseError as error:
        raise error_response(f"{error.status_code or ''} {error}".strip()) from error
    except (RedisError, RedisClusterException, OSError, AttributeError, RuntimeError) as error:
        # The last two: redis-py takes connections of a cluster's node away under a command, and
        # uvloop refuses to write to a connection that has just been lost.
        if isinstance(error, AttributeError | RuntimeError) and not _within_redis_py(error):
            raise  # a fault of our own
        code = getattr(error, "status_code", None)  # a refused password is a ConnectionError
        if code:
            raise error_response(f"{code} {error}") from error
        detail = str(error) or type(error).__name__
        raise StoreUnavailable("Redis cannot be reached", detail) from error


def whole(responses: Sequence[Any]) -> list[Any]:
    """Return the responses of a pipeline. Raises the first error among them."""
    for each in responses:
        if isinstance(each, Exception):
            raise each
    return list(responses)


def _within_redis_py(error: Exception) -> bool:
    """Whether redis-py was at work when this was raised."""
    frames = (frame for frame, _ in walk_tb(error.__traceback__))
    return any(str(frame.f_globals.get("__name__")).startswith("redis.") for frame in frames)


async def send(pubsub: PubSub, *words: str) -> None:
    """Send a command on a pub/sub connection.

    Past PubSub's own lists, since the feed keeps that of what is wanted, and past its own way of
    connecting again, which would get into the way of the task that reads."""
    connection = pubsub.connection
    if connection is None or not connection.is_connected:
        raise ConnectionError("connection lost")
    await connection.send_command(*words)


async def received(pubsub: PubSub) -> AsyncIterator[tuple[bytes, bytes, Any]]:
    """Yield kind, channel and data of each message. Raises StoreUnavailable once the server has
    not responded for too long.

    Past PubSub's own way of reading, which sets a time-out for each message: that would be half of
    what one costs."""
    connection: Any = pubsub.connection
    active, timed_out = False, False

    async def watch() -> None:
        nonlocal active, timed_out
        unanswered = 0
        while unanswered <= UNANSWERED_LIMIT:
            await asyncio.sleep(PING_INTERVAL)
            unanswered = 0 if active else unanswered + 1
            active = False
            if unanswered:
                with contextlib.suppress(RedisError, OSError):
                    await send(pubsub, "PING")
        timed_out = True
        await connection.disconnect(nowait=True)

    watching = asyncio.create_task(watch())
    try:
        with translated_errors():
            while True:
                response = await connection.read_response(timeout=math.inf)
                active = True
                if len(response) == 3:  # else a pong
                    yield response[0], response[1], response[2]
    except StoreUnavailable:
        if timed_out:
            raise StoreUnavailable("Redis fell silent") from None
        raise
    finally:
        await end_tasks([watching])
