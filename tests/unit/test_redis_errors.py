"""What counts as a Redis that is away, and what as a fault of our own."""

import pytest
from redis.asyncio import Redis

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
