"""A TCP proxy between any two parts: spreads connections over its targets, as a load balancer does,
and breaks them on demand."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.stream_server import serving_in_thread


class TcpProxy:
    """Connections go to the targets in turn; one that cannot be reached is passed over."""

    def __init__(self, *ports: int) -> None:
        self.ports = list(ports)
        self.port = 0
        self.delay = 0.0
        """Seconds that every chunk is held back."""
        self.refusing = False
        """While set, a connection is closed as soon as it comes."""
        self.before: Callable[[bytes], None] = lambda _: None
        """Is called with each chunk of a client's before that is passed on."""
        self._loop: asyncio.AbstractEventLoop
        self._turn = 0
        self._open: set[asyncio.StreamWriter] = set()
        self._may_pass = asyncio.Event()
        self._may_pass.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @contextmanager
    def running(self) -> Iterator["TcpProxy"]:
        with serving_in_thread(self._serve, limit=2**20) as (self.port, self._loop):
            yield self

    def cut(self) -> None:
        """Reset every connection."""
        self._loop.call_soon_threadsafe(self._cut)

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Connections stay open and nothing passes."""
        self._loop.call_soon_threadsafe(self._may_pass.clear)
        try:
            yield
        finally:
            self._loop.call_soon_threadsafe(self._may_pass.set)

    def _cut(self) -> None:
        for writer in list(self._open):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            target = None if self.refusing else await self._connect()
            if target is not None:
                far_reader, far_writer = target
                self._open.add(far_writer)
                try:
                    await asyncio.gather(
                        self._pass(reader, far_writer, asks=True),
                        self._pass(far_reader, writer),
                    )
                finally:
                    self._open.discard(far_writer)
                    far_writer.transport.abort()
        finally:
            self._open.discard(writer)
            writer.transport.abort()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        for _ in self.ports:
            self._turn += 1
            port = self.ports[self._turn % len(self.ports)]
            with contextlib.suppress(OSError):
                return await asyncio.open_connection("127.0.0.1", port, limit=2**20)
        return None

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, asks: bool = False
    ) -> None:
        """Until either end has no more to say. A reset is passed on as one: who waits for an answer
        must not wait for ever."""
        try:
            while data := await reader.read(2**16):
                if self.delay:
                    await asyncio.sleep(self.delay)
                await self._may_pass.wait()
                if asks:
                    self.before(data)
                writer.write(data)
                await writer.drain()
            if writer.can_write_eof():
                writer.write_eof()
        except OSError:
            writer.transport.abort()
