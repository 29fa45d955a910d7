"""A command to the store ends within its caller's time-out, whatever it waits for."""

import asyncio
import time

import pytest

from adapters.redis import Connection, RestConnection, connect
from adapters.redis_address import parse_address
from application.errors import StoreUnavailable
from tests.doubles.rest_front import TOKEN, RestFront
from tests.redis_server import LocalRedis
from tests.tcp_proxy import TcpProxy
from tests.waiting import within

TIMEOUT = 1.0
SLACK = 1.0
"""Seconds that a busy machine may add."""


@pytest.mark.parametrize("way", ["server", "rest"])
async def test_commands_that_wait_for_a_stuck_one_end_in_time(way: str) -> None:
    """Two connections, and twenty times as many commands as fit into them: each in turn would
    have to wait for all that are stuck before it."""
    with LocalRedis().running() as redis, RestFront(redis.url).running() as front:
        port = redis.port if way == "server" else int(front.url.rpartition(":")[2])
        proxy = TcpProxy(port)
        with proxy.running():
            connection = _connection(way, proxy)
            try:
                await connection.call("PING")
                with proxy.silent():
                    calls = [_timed(connection.call("GET", str(number))) for number in range(40)]
                    calls += [
                        _timed(connection.call_batched("GET", "x" * 50 + str(number)))
                        for number in range(2_000 if way == "server" else 40)
                    ]
                    calls += [_timed(connection.pipeline([("GET", "y")] * size)) for size in (1, 3)]
                    assert max(await asyncio.gather(*calls)) < TIMEOUT + within(SLACK)
                await connection.call("PING")
            finally:
                await connection.aclose()


@pytest.mark.soak
async def test_a_command_of_a_cluster_waits_for_its_turn_in_time(redis_cluster: str) -> None:
    """What is stuck is bounded by redis-py, which asks other nodes; what waits for it, here."""
    connection = connect(
        parse_address(redis_cluster), connections=1, connect_timeout=5.0, timeout=TIMEOUT
    )
    stuck = asyncio.create_task(connection.call("BLPOP", "nothing", 3))
    await asyncio.sleep(0)
    assert await _timed(connection.call_batched("GET", "x")) < TIMEOUT + within(SLACK)
    stuck.cancel()
    await asyncio.gather(stuck, return_exceptions=True)
    assert await connection.call("GET", "x") is None
    await connection.aclose()


def _connection(way: str, proxy: TcpProxy) -> Connection:
    if way == "rest":
        return RestConnection(proxy.url, TOKEN, connections=2, timeout=TIMEOUT)
    address = parse_address(f"redis://127.0.0.1:{proxy.port}")
    return connect(address, connections=2, connect_timeout=5.0, timeout=TIMEOUT)


async def _timed(call: object) -> float:
    """Seconds until it was told that the store is unavailable."""
    began = time.monotonic()
    with pytest.raises(StoreUnavailable):
        await call  # type: ignore[misc]
    return time.monotonic() - began
