"""Servers of asyncio's streams that leave nothing open when they end, whatever has just come. What
they left to the garbage collector would fail a later test."""

import asyncio
import contextlib
import ssl
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TypeAlias

from tests.waiting import within

Serve: TypeAlias = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

TURNS = 4
"""Turns of the loop after which a connection that was accepted is served."""


@asynccontextmanager
async def serving(
    serve: Serve, limit: int = 2**16, tls: ssl.SSLContext | None = None
) -> AsyncGenerator[int, None]:
    """Serve each connection on a port, which this yields, until `serve` returns; then close it. At
    the end, what is still served is cancelled, and closed though its client reads nothing. `limit`
    is that of the readers, in bytes."""
    connections: set[asyncio.Task[None]] = set()

    async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        # asyncio reports a cancelled one as an error of its own.
        broken = (asyncio.CancelledError, asyncio.IncompleteReadError, OSError)
        try:
            with contextlib.suppress(*broken):
                await serve(reader, writer)
                writer.close()
                await writer.wait_closed()
        finally:
            writer.transport.abort()  # what the client has not read would keep it open
            connections.discard(task)

    server = await asyncio.start_server(serve_one, "127.0.0.1", 0, limit=limit, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        # Not with `close` at first: of a connection that was accepted in the same turn, Python 3.11
        # would make a transport, find the server closed, and forget both.
        for listener in server.sockets:
            asyncio.get_running_loop().remove_reader(listener.fileno())
        await _turns()
        server.close()
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
        await _turns()  # an aborted transport closes its socket in the next one


async def _turns() -> None:
    for _ in range(TURNS):
        await asyncio.sleep(0)


@contextmanager
def serving_in_thread(
    serve: Serve, limit: int = 2**16
) -> Iterator[tuple[int, asyncio.AbstractEventLoop]]:
    """The same in a thread of its own, so that tests drive it from anywhere: its port, and the
    event loop of the thread. What `serve` has begun besides is cancelled at the end."""
    started = threading.Event()
    stop = asyncio.Event()
    where: list[tuple[int, asyncio.AbstractEventLoop]] = []

    async def run() -> None:
        async with serving(serve, limit) as port:
            where.append((port, asyncio.get_running_loop()))
            started.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
    thread.start()
    assert started.wait(within(10))
    try:
        yield where[0]
    finally:
        where[0][1].call_soon_threadsafe(stop.set)
        thread.join(within(10))
        assert not thread.is_alive(), "the server did not stop"
