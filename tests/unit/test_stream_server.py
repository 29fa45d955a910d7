"""The servers of the tests themselves leave nothing to the garbage collector."""

import asyncio
import gc
import socket

import pytest

from tests.stream_server import serving


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(await reader.read())


@pytest.mark.parametrize("turns", range(6))
async def test_what_comes_while_a_server_ends_is_closed(turns: int) -> None:
    """In whichever turn of the loop it is accepted. What is left open fails the test that collects
    it, which is this one."""
    async with serving(_serve) as port:
        clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(5)]
        for _ in range(turns):
            await asyncio.sleep(0)
    for client in clients:
        client.close()
    gc.collect()
