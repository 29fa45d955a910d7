"""Connections to Redis: each writes its commands by hiredis."""

from typing import Any

import pytest
from redis.asyncio.connection import AbstractConnection

from adapters.redis.connector import connect
from adapters.redis.server import ServerConnection
from adapters.redis_address import parse_address

PLACES = [
    "redis://localhost:1",
    "rediss://localhost:1",
    "unix:///nowhere/redis.sock",
    "redis+sentinel://localhost:1/main",
]


@pytest.mark.parametrize("url", PLACES)
async def test_commands_are_written_by_hiredis(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    way = connect(parse_address(url), connections=1, connect_timeout=1.0, timeout=1.0)
    assert isinstance(way, ServerConnection)
    pool: Any = way.client.connection_pool
    connection = pool.make_connection()
    plain = AbstractConnection.pack_command
    commands = [("SET", "name", b"a\r\nb", 17), ("EVALSHA", "é" * 10_000, 0), ("CONFIG GET", "x")]
    expected = [b"".join(plain(connection, *words)) for words in commands]
    monkeypatch.setattr(AbstractConnection, "pack_command", None)  # which is not asked
    assert [b"".join(connection.pack_command(*words)) for words in commands] == expected
    assert b"".join(connection.pack_commands(commands)) == b"".join(expected)
    await way.aclose()
