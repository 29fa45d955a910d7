"""Receivers that respond as fast as the network carries it, so that this process parses and does
nothing else, in the event loops that the service runs in."""

import asyncio
from collections.abc import Callable

import pytest

from application.errors import WebhookUnreachable
from entrypoints.event_loop import loop_factory
from tests.doubles.receiver import receiving
from tests.integration.test_webhook_sender import sending
from tests.waiting import within

OK = b"HTTP/1.1 200 OK\r\n"
FLOODS = {
    "heads of 100": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "long heads of 103": (b"", b"HTTP/1.1 103 Early\r\nA: %b\r\n\r\n" % (b"x" * 7000)),
    "empty lines": (b"", b"\r\n"),
    "headers": (OK, b"A: b\r\n"),
    "responses": (b"", OK + b"Content-Length: 0\r\n\r\n"),
    "chunks": (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    "one chunk's extension": (OK + b"Transfer-Encoding: chunked\r\n\r\n1;", b"x"),
}
RESPONSES = {"responses", "chunks", "one chunk's extension"}
"""Those that have a head of 200 at their beginning."""
LOOPS = [asyncio.new_event_loop, loop_factory() or asyncio.new_event_loop]


@pytest.mark.parametrize("flood", FLOODS)
@pytest.mark.parametrize("new_loop", LOOPS)
def test_little_of_a_flood_is_parsed(
    new_loop: Callable[[], asyncio.AbstractEventLoop], flood: str
) -> None:
    begin, repeated = FLOODS[flood]
    repeated *= 64 * 1024 // len(repeated)
    written = 0

    async def pour(writer: asyncio.StreamWriter) -> None:
        nonlocal written
        writer.write(begin)
        while True:
            writer.write(repeated)
            await writer.drain()
            written += len(repeated)

    async def call() -> None:
        async with receiving(pour) as receiver, sending(timeout=within(60)) as send:
            async with asyncio.timeout(within(30)):
                if flood in RESPONSES:
                    assert await send(receiver.url) == 200
                else:
                    with pytest.raises(WebhookUnreachable, match="no response in HTTP"):
                        await send(receiver.url)

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(call())
    assert written < 32 * 1024 * 1024  # what the buffers of two sockets hold, generously
