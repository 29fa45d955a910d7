"""What counts as a Redis that is away, and what as a fault of our own."""

import pytest
from redis.asyncio import Redis

from adapters.redis.errors import error_response
from adapters.redis.redis_py import translated_errors
from application.errors import StoreUnavailable


@pytest.mark.parametrize("fault", [AttributeError, RuntimeError])
def test_a_fault_of_our_own_is_not_taken_for_a_redis_that_is_away(fault: type[Exception]) -> None:
    with pytest.raises(fault), translated_errors():
        raise fault("ours")


async def test_one_within_redis_py_is() -> None:
    """It raises what its own connections raise when they are taken away under it."""
    pubsub = Redis().pubsub()
    with pytest.raises(StoreUnavailable), translated_errors():
        await pubsub.parse_response()  # RuntimeError


def test_what_a_redis_refuses_for_its_length_is_told() -> None:
    """As Upstash's does, from 10 MB (docs/redis.md)."""
    refused = error_response("ERR max request size exceeded. Limit: 10485760 bytes")
    assert refused.reason == "Redis refuses a command as long as this request"
