"""Connections that come while a server stops: none of them holds it up."""

import asyncio
import contextlib
import socket
from typing import Any

from entrypoints.event_loop import loop_factory
from entrypoints.http.protocol.uvicorn_server import GracefulServer
from entrypoints.sockets import listen
from tests.waiting import within


async def _app(scope: Any, receive: Any, send: Any) -> None:
    assert scope["type"] == "lifespan"
    for step in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{step}.complete"})


async def _connect_until_closed(address: tuple[str, int]) -> list[socket.socket]:
    """One connection in each turn of the event loop, so that the server accepts some in the turn in
    which it closes its socket."""
    clients: list[socket.socket] = []
    with contextlib.suppress(ConnectionError):
        while True:
            clients.append(socket.create_connection(address))
            await asyncio.sleep(0)
    return clients


async def _stop_while_clients_come() -> None:
    listener = listen("127.0.0.1", 0)
    address = listener.getsockname()
    server = GracefulServer(_app, signals=False)
    server.config.timeout_graceful_shutdown = 3_600  # seconds it waits for what stays open
    serving = asyncio.create_task(server.serve([listener]))
    await server.ready.wait()
    server.stop()
    clients = await _connect_until_closed(address)
    try:
        async with asyncio.timeout(within(5.0)):
            await serving
    finally:
        for each in clients:
            each.close()
    assert clients


def test_a_connection_of_the_last_turn_does_not_hold_up_the_stop() -> None:
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(_stop_while_clients_come())
