"""A response of which a bounded number of bytes is parsed.

A receiver may send heads of 1xx or empty lines as fast as the network carries them until its time
is over, and so keep the event loop busy with parsing, to the harm of all that the process does.
aiohttp bounds a line and a body, and none of this. (`ClientResponse.start` is not documented;
tests/integration/test_webhook_floods.py notices if it is called no more.)
"""

import asyncio

from aiohttp import ClientResponse
from aiohttp.connector import Connection

MAX_PARSED = 32 * 1024
"""Bytes of all heads and of the body, so far as that comes with them. A head has a few hundred."""


class BoundedResponse(ClientResponse):
    async def start(self, connection: Connection) -> ClientResponse:
        """Read the head. Once MAX_PARSED bytes have come the connection is gone. A head that was
        complete by then is the response; else aiohttp raises ServerDisconnectedError."""
        transport, protocol = connection.transport, connection.protocol
        if transport is not None and protocol is not None:
            transport.set_protocol(_Bounded(transport, protocol))
        return await super().start(connection)


class _Bounded(asyncio.Protocol):
    """Stands between a connection and aiohttp's protocol, and passes on what it is told."""

    def __init__(self, transport: asyncio.Transport, protocol: asyncio.Protocol) -> None:
        self._transport = transport
        self._protocol = protocol
        self._left = MAX_PARSED

    def data_received(self, data: bytes) -> None:
        if self._left:
            passed_on = data[: self._left]
            self._left -= len(passed_on)
            self._protocol.data_received(passed_on)
        if not self._left:
            self._transport.abort()

    def pause_writing(self) -> None:
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        self._protocol.resume_writing()

    def eof_received(self) -> bool | None:
        return self._protocol.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._protocol.connection_lost(exc)
