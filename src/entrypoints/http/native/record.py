"""The record of a task as a response. A long text is written page by page, so that a slow client
costs the memory of one page and not of the whole text."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import msgspec
import structlog
from litestar import Litestar, Request, Response
from litestar.response.base import ASGIResponse
from litestar.types import Receive, Send

from application.errors import StoreUnavailable, UnknownTask, Unreadable
from application.manage_task import TaskWithAnswer, TaskWithPages
from domain.prices import Prices
from entrypoints.http.litestar_internals import UnsizedResponse
from entrypoints.http.native.bodies import TaskBody, task_body
from entrypoints.http.protocol.direct_write import DirectWriter, direct_writer_of

log = structlog.get_logger(__name__)

_encode = msgspec.json.Encoder().encode
_REASONING, _TEXT, _END = b'"reasoning":"', b'","text":"', b'"}'
"""How a record ends: the fields `reasoning` and `text` are its last ones."""


def record_response(
    found: TaskWithAnswer | TaskWithPages, stream_url: str, prices: Prices, status_code: int = 200
) -> Response[TaskBody]:
    body = task_body(found, stream_url, prices)
    if isinstance(found, TaskWithPages):
        return _LongRecord(body, found, status_code)
    return Response(body, status_code=status_code)


class _LongRecord(Response[TaskBody]):
    def __init__(self, body: TaskBody, found: TaskWithPages, status_code: int) -> None:
        super().__init__(body, status_code=status_code, media_type="application/json")
        self._found = found

    def to_asgi_response(
        self, app: Litestar | None, request: Request[Any, Any, Any], **options: Any
    ) -> ASGIResponse:
        return _Streaming(
            _encode(self.content).removesuffix(_REASONING + _TEXT + _END),
            self._found,
            direct_writer_of(request.scope),
            self.content.task_id,
            headers={**(options.get("headers") or {}), **self.headers},
            media_type=self.media_type,
            status_code=self.status_code or 200,
        )


class _Streaming(UnsizedResponse):
    __slots__ = ("_found", "_head", "_task_id", "_writer")

    def __init__(
        self,
        head: bytes,
        found: TaskWithPages,
        writer: DirectWriter,
        task_id: str,
        **response: Any,
    ) -> None:
        super().__init__(**response)
        self._head = head
        self._found = found
        self._writer = writer
        self._task_id = task_id

    async def send_body(self, send: Send, receive: Receive) -> None:
        try:
            await self._write_pages(send, self._head + _REASONING, self._found.reasoning)
            await self._write_pages(send, _TEXT, self._found.text)
            await self._writer.write(send, _END, more=False)
        except (StoreUnavailable, UnknownTask, Unreadable) as error:
            # The status is out. A broken connection says that the body is not complete.
            log.error("record broken off", task_id=self._task_id, error=str(error))
            await self._writer.break_off(receive)

    async def _write_pages(self, send: Send, head: bytes, pages: AsyncGenerator[str, None]) -> None:
        async with aclosing(pages):
            await self._writer.write(send, head)
            async for text in pages:
                handed = [_encode(text)[1:-1]]  # and not kept while the client is slow
                del text
                await self._writer.write(send, handed.pop())
