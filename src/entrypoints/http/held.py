"""A response in JSON that is held until a task has ended, or for a bounded time.

Proxies and clients give up on a response that says nothing. So after a while the head goes out, and
then white space, which JSON may begin with. A client whose connection breaks sends its request
again, finds the same task, and gets what it missed at once.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
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
    """Is called once the task has ended or `wait` is over. Returns the response, or raises a
    problem."""
    ping_interval: float
    """Seconds after which the head goes out, and between two pieces of white space."""
    wait: float | None = None
    """Seconds after which the response is made of the task as it then stands, as it is when this
    process stops first. None: only the end of the task makes it."""
    hung_up: Callable[[], None] | None = None
    """Is called if the client goes away before the task has ended."""


class HeldResponse(Response[None]):
    """Is broken off if its head is out when the response turns out to be other than 200. Without
    `wait`, also if this process stops first. The same request, sent again, gets the status."""

    def __init__(self, held: Held, headers: Mapping[str, str]) -> None:
        super().__init__(None, media_type="application/json", headers={**_HEADERS, **headers})
        self._held = held

    def to_asgi_response(
        self, app: Litestar | None, request: Request[Any, Any, Any], **options: Any
    ) -> ASGIResponse:
        headers = {**(options.get("headers") or {}), **self.headers}
        return _Holding(self._held, request, headers, media_type=self.media_type)


class _Holding(UnsizedResponse):
    __slots__ = ("_headers", "_held", "_outcome", "_request", "_writer")

    def __init__(
        self, held: Held, request: Request[Any, Any, Any], headers: dict[str, str], **response: Any
    ) -> None:
        super().__init__(headers=headers, **response)
        self._held = held
        self._headers = headers
        self._request = request
        self._writer = direct_writer_of(request.scope)
        # Whether the response is made, or else broken off.
        self._outcome: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        held = self._held
        held.streams.open(held.slot, held.reader, resumed=False)
        timer = None
        try:
            held.reader.start(_End(self._reader_ended))
            if held.wait is not None:
                loop = asyncio.get_running_loop()
                timer = loop.call_later(held.wait, self._decide, True)
            self._writer.on_close(self._hang_up)
            if not await self._decided_soon():
                await super().__call__(scope, receive, send)  # the head, and `send_body`
            elif not self._outcome.result():
                await self._writer.break_off(receive)
            else:
                response = await self._finished()
                response.headers = {**self._headers, **response.headers}
                await response.to_asgi_response(None, self._request)(scope, receive, send)
        finally:
            if timer is not None:
                timer.cancel()
            held.reader.close()
            held.streams.close(held.slot)

    async def send_body(self, send: Send, receive: Receive) -> None:
        await self._writer.write(send, _SPACE)
        while not await self._decided_soon():
            self._writer.push(_SPACE)
        response: ASGIResponse | None = None
        if self._outcome.result():
            try:
                response = (await self._finished()).to_asgi_response(None, self._request)
            except (ProblemDetailsException, ApplicationError) as error:
                log.info("held response broken off", reason=str(error))
        if response is None or response.status_code != HTTPStatus.OK:
            await self._writer.break_off(receive)
        elif isinstance(response, UnsizedResponse):
            await response.send_body(send, receive)
        else:
            # Nothing here may keep the body for as long as the client takes to read it.
            body = [response.body]
            del response
            await self._writer.write(send, body.pop(), more=False)

    def _reader_ended(self, complete: bool) -> None:
        self._decide(complete or self._held.wait is not None)

    def _hang_up(self) -> None:
        self._decide(False)
        hang_up(self._held.reader, self._held.hung_up)

    def _decide(self, outcome: bool) -> None:
        if not self._outcome.done():
            self._outcome.set_result(outcome)

    async def _decided_soon(self) -> bool:
        """Wait for the outcome, for at most the ping interval."""
        done, _ = await asyncio.wait([self._outcome], timeout=self._held.ping_interval)
        return bool(done)

    def _finished(self) -> Awaitable[Response[Any]]:
        self._writer.on_close(None)
        self._held.reader.close()
        return self._held.finish()


class _End(Sink):
    """Waits for the end of a log, and writes nothing."""

    __slots__ = ("_ended",)

    def __init__(self, ended: Callable[[bool], None]) -> None:
        self._ended = ended

    def write(self, batch: Batch) -> bool:
        return True

    def write_all(self, batches: Sequence[Batch]) -> bool:
        return True

    async def writable(self) -> None:
        await asyncio.sleep(0)

    def ping(self) -> None: ...

    def end(self, *, complete: bool) -> None:
        self._ended(complete)
