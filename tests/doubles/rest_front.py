"""Upstash's REST API in front of a real Redis, as far as the service uses it.

Commands are passed through as they come and answers as they are, byte for byte: the Redis behind it
is the one that is tested. Faults on demand: streams cut, streams that fall silent.
"""

import asyncio
import base64
import contextlib
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from urllib.parse import urlsplit

import hiredis
import uvicorn
from litestar import Litestar, Request, Response, post
from litestar.params import FromPath
from litestar.response import Stream

from entrypoints.event_loop import loop_factory
from entrypoints.sockets import listen, url_of
from tests.waiting import within

TOKEN = "rest-token"


class RestFront:
    def __init__(self, redis_url: str) -> None:
        parts = urlsplit(redis_url)
        self._where = parts.hostname, parts.port
        self.url = ""
        self.opened, self.refused = 0, 0
        """Streams opened and refused so far."""
        self.silent = threading.Event()
        """While set, no stream passes anything on, and none is opened."""
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    @contextmanager
    def running(self) -> Iterator["RestFront"]:
        listener = listen("127.0.0.1", 0)
        self.url = url_of(listener)
        handlers = [self._command(), self._pipeline(), self._subscribe()]
        app = Litestar(handlers, openapi_config=None)
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=1))

        async def serve() -> None:
            self._loop = asyncio.get_running_loop()
            await server.serve([listener])

        def run() -> None:
            # On asyncio's own, Python 3.11 leaves connections open that came in the last moment.
            with asyncio.Runner(loop_factory=loop_factory()) as runner:
                runner.run(serve())

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            server.should_exit = True
            self.cut()
            thread.join(within(10))
            assert not thread.is_alive()

    def cut(self) -> None:
        """End all streams."""
        if self._loop is not None:
            for writer in list(self._writers):
                self._loop.call_soon_threadsafe(writer.close)

    def _command(self) -> Any:
        @post("/")
        async def command(request: Request[Any, Any, Any]) -> Response[Any]:
            if request.headers.get("authorization") != f"Bearer {TOKEN}":
                return Response({"error": "Unauthorized"}, status_code=401)
            async with self._redis() as (reader, writer):
                writer.write(_packed(*map(str, await request.json())))
                answer = await _next(reader, hiredis.Reader())
            if isinstance(answer, hiredis.ReplyError):
                return Response({"error": str(answer)}, status_code=400)
            encoded = request.headers.get("upstash-encoding") == "base64"
            return Response({"result": _as_json(answer, encoded)}, status_code=200)

        return command

    def _pipeline(self) -> Any:
        @post("/pipeline")
        async def pipeline(request: Request[Any, Any, Any]) -> Response[Any]:
            if request.headers.get("authorization") != f"Bearer {TOKEN}":
                return Response({"error": "Unauthorized"}, status_code=401)
            results: list[dict[str, Any]] = []
            encoded = request.headers.get("upstash-encoding") == "base64"
            async with self._redis() as (reader, writer):
                parser = hiredis.Reader()
                for command in await request.json():
                    writer.write(_packed(*map(str, command)))
                    answer = await _next(reader, parser)
                    failed = isinstance(answer, hiredis.ReplyError)
                    result = str(answer) if failed else _as_json(answer, encoded)
                    results.append({"error" if failed else "result": result})
            return Response(results, status_code=200)

        return pipeline

    def _subscribe(self) -> Any:
        @post("/subscribe/{channel:str}")
        async def subscribe(
            request: Request[Any, Any, Any], channel: FromPath[str]
        ) -> Response[Any]:
            if request.headers.get("authorization") != f"Bearer {TOKEN}":
                return Response({"error": "Unauthorized"}, status_code=401)
            if self.silent.is_set():
                self.refused += 1
                return Response({"error": "not now"}, status_code=503)
            self.opened += 1
            return Stream(self._messages(channel), media_type="text/event-stream", status_code=200)

        return subscribe

    async def _messages(self, channel: str) -> AsyncIterator[bytes]:
        async with self._redis() as (reader, writer):
            self._writers.add(writer)
            try:
                writer.write(_packed("SUBSCRIBE", channel))
                parser = hiredis.Reader()
                while (heard := await _next(reader, parser)) is not None:
                    kind, name, data = (_text(part) for part in heard)
                    if not self.silent.is_set():
                        yield f"data: {kind},{name},{data}\n\n".encode()
            finally:
                self._writers.discard(writer)

    @asynccontextmanager
    async def _redis(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        reader, writer = await asyncio.open_connection(*self._where)
        try:
            yield reader, writer
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


def _packed(*words: str) -> bytes:
    packed: bytes = hiredis.pack_command(words)  # type: ignore[arg-type]
    return packed


async def _next(reader: asyncio.StreamReader, parser: Any) -> Any:
    """The next answer; None once the connection is at its end."""
    while (answer := parser.gets()) is False:
        data = await reader.read(65536)
        if not data:
            return None
        parser.feed(data)
    return answer


def _text(part: bytes | int) -> str:
    return part.decode() if isinstance(part, bytes) else str(part)


def _as_json(answer: Any, encoded: bool) -> Any:
    if isinstance(answer, list):
        return [_as_json(each, encoded) for each in answer]
    if not isinstance(answer, bytes) or answer == b"OK":
        return answer.decode() if isinstance(answer, bytes) else answer
    return base64.b64encode(answer).decode() if encoded else answer.decode()
