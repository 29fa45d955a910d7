"""A response in JSON that is held until a task has ended.

Proxies and clients give up on a response that says nothing. So after a while the head goes out, and
then white space, which JSON may begin with. A client whose connection breaks sends its request
again, finds the same task, and gets what it missed at once.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any

import structlog
from litestar import Litestar, Request, Response
from litestar.plugins.problem_details import ProblemDetailsException
from litestar.response.base import ASGIResponse
from litestar.types import Receive, Scope, Send

from application.errors import ApplicationError
from application.ports import Batch
from application.quotas import StreamSlot
from application.reader import Reader, Sink
from entrypoints.http.litestar_internals import UnsizedResponse
from entrypoints.http.open_streams import OpenStreams
from entrypoints.http.protocol.direct_write import direct_writer_of
from entrypoints.http.sse.response import hang_up

log = structlog.get_logger(__name__)

_SPACE = b" "
_HEADERS = {
    "Cache-Control": "no-store, no-transform",
    "X-Accel-Buffering": "no",
}
"""Proxies are to pass on the white space as it comes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What a held response is made of."""

    reader: Reader
    slot: StreamSlot
    streams: OpenStreams
    finish: Callable[[], Awaitable[Response[Any]]]
    """Is called once the task has ended. Returns the response, or raises a problem."""
    ping_interval: float
    """Seconds after which the head goes out, and between two pieces of white space."""
    hung_up: Callable[[], None] | None = None
    """Is called if the client goes away before the task has ended."""


class HeldResponse(Response[None]):
    """Is broken off if this process stops first, or if its head is out when the task ends otherwise
    than with 200: the same request, sent again, gets the status."""

    def __init__(self, held: Held, headers: Mapping[str, str]) -> None:
        super().__init__(None, media_type="application/json", headers={**_HEADERS, **headers})
        self._held = held

    def to_asgi_response(
        self, app: Litestar | None, request: Request[Any, Any, Any], **options: Any
    ) -> ASGIResponse:
        headers = {**(options.get("headers") or {}), **self.headers}
        return _Holding(self._held, request, headers, media_type=self.media_type)


class _Holding(UnsizedResponse):
    __slots__ = ("_ended", "_headers", "_held", "_request", "_writer")

    def __init__(
        self, held: Held, request: Request[Any, Any, Any], headers: dict[str, str], **response: Any
    ) -> None:
        super().__init__(headers=headers, **response)
        self._held = held
        self._headers = headers
        self._request = request
        self._writer = direct_writer_of(request.scope)
        self._ended: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        held = self._held
        held.streams.open(held.slot, resumed=False)
        try:
            held.reader.start(_End(self._ended))
            self._writer.on_close(partial(hang_up, held.reader, held.hung_up))
            if not await self._ends_soon():
                await super().__call__(scope, receive, send)  # the head, and `send_body`
            elif not self._ended.result():
                await self._break_off(receive)
            else:
                response = await self._finished()
                response.headers = {**self._headers, **response.headers}
                await response.to_asgi_response(None, self._request)(scope, receive, send)
        finally:
            held.reader.close()
            held.streams.close(held.slot)

    async def send_body(self, send: Send, receive: Receive) -> None:
        await self._writer.write(send, _SPACE)
        while not await self._ends_soon():
            self._writer.push(_SPACE)
        response: ASGIResponse | None = None
        if self._ended.result():
            try:
                response = (await self._finished()).to_asgi_response(None, self._request)
            except (ProblemDetailsException, ApplicationError) as error:
                log.info("held response broken off", reason=str(error))
        if response is None or response.status_code != HTTPStatus.OK:
            await self._break_off(receive)
        else:
            # Nothing here may keep the body for as long as the client takes to read it.
            body = [response.body]
            del response
            await self._writer.write(send, body.pop(), more=False)

    async def _ends_soon(self) -> bool:
        """Wait for the end of the task, of this process, or of the ping interval."""
        done, _ = await asyncio.wait([self._ended], timeout=self._held.ping_interval)
        return bool(done)

    def _finished(self) -> Awaitable[Response[Any]]:
        self._writer.on_close(None)
        return self._held.finish()

    async def _break_off(self, receive: Receive) -> None:
        self._writer.cut()
        await receive()


class _End(Sink):
    """Waits for the end of a log, and writes nothing."""

    __slots__ = ("_ended",)

    def __init__(self, ended: asyncio.Future[bool]) -> None:
        self._ended = ended

    def write(self, batch: Batch) -> bool:
        return True

    def write_all(self, batches: Sequence[Batch]) -> bool:
        return True

    async def writable(self) -> None:
        await asyncio.sleep(0)

    def ping(self) -> None: ...

    def end(self, *, complete: bool) -> None:
        if not self._ended.done():
            self._ended.set_result(complete)
