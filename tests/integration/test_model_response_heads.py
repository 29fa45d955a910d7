"""OpenAIModel beside a server whose status line, headers or error objects are not what they should
be: each is a fault of the model, told by its status where it has one."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from adapters.openai import OpenAIModel
from application.errors import ModelRefused, ModelUnavailable
from tests.builders import REQUEST
from tests.stream_server import serving
from tests.waiting import within

OK = b"HTTP/1.1 200 OK\r\n"
EMPTY = b"content-length: 0\r\n\r\n"


@asynccontextmanager
async def model_of_a_server_that_sends(answer: bytes) -> AsyncIterator[OpenAIModel]:
    connections: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.add(asyncio.current_task())
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await reader.read()  # until the client hangs up

    async with serving(serve) as port:
        model = OpenAIModel("key", f"http://127.0.0.1:{port}/v1", read_timeout=5.0)
        try:
            async with asyncio.timeout(within(20)):
                yield model
        finally:
            await model.aclose()
            await asyncio.wait_for(asyncio.gather(*filter(None, connections)), within(20))


async def fault_for(answer: bytes) -> ModelRefused | ModelUnavailable:
    async with model_of_a_server_that_sends(answer) as model:
        with pytest.raises((ModelRefused, ModelUnavailable)) as fault:
            [each async for each in model.stream(REQUEST)]
    assert isinstance(fault.value, ModelRefused | ModelUnavailable)
    return fault.value


@pytest.mark.parametrize(
    "head",
    {
        "a long header": OK + b"x: " + b"a" * 20_000 + b"\r\n" + EMPTY,
        "a header without end": OK + b"x: " + b"a" * 3_000_000,
        "many headers": OK + b"".join(b"x-%d: a\r\n" % n for n in range(500)) + EMPTY,
        "a long reason": b"HTTP/1.1 200 " + b"o" * 20_000 + b"\r\n" + EMPTY,
        "a status that is none": b"HTTP/1.1 abc OK\r\n" + EMPTY,
        "a status of four digits": b"HTTP/1.1 9999 OK\r\n" + EMPTY,
        "a length that is none": OK + b"content-length: abc\r\n\r\n",
        "a length that is too long": OK + b"content-length: 9999999999999999999999\r\n\r\n",
        "a header with NUL": OK + b"x: \0\r\n" + EMPTY,
        "a chunk that is none": OK + b"transfer-encoding: chunked\r\n\r\nzz\r\n",
        "no HTTP": b"hello\r\n\r\n",
    }.values(),
    ids=lambda head: None,
)
async def test_what_is_no_head_of_a_response_is_an_answer_that_cannot_be_read(head: bytes) -> None:
    fault = await fault_for(head)
    assert isinstance(fault, ModelUnavailable)
    assert fault.code == "invalid_response"


@pytest.mark.parametrize(
    "location", [b"http://a..b/", b"http://" + b"a" * 80 + b"/", b"http://127.0.0.1:1/", b"", b"//"]
)
async def test_no_redirect_is_followed(location: bytes) -> None:
    """A prompt would go there, and what is said there would come back."""
    fault = await fault_for(b"HTTP/1.1 307 X\r\nlocation: %b\r\n%b" % (location, EMPTY))
    assert isinstance(fault, ModelRefused)
    assert fault.code == "redirected"
    assert fault.unbilled


def _error(status: int, body: bytes, *headers: bytes) -> bytes:
    lines = [b"HTTP/1.1 %d X" % status, b"content-length: %d" % len(body), *headers]
    return b"\r\n".join([*lines, b"", body])


@pytest.mark.parametrize("field", ["code", "type", "param", "message"])
@pytest.mark.parametrize(
    "value",
    [b"[1]", b'{"a": 1}', b"1", b"1.5", b"true", b'""', b"1" * 5_000, b'"\\ud800"']
    + [b"[" * depth + b"]" * depth for depth in (500, 900, 5_000)],
    ids=lambda value: value[:10].decode(),
)
async def test_an_error_object_may_hold_anything(field: str, value: bytes) -> None:
    fault = await fault_for(_error(400, b'{"error": {"%b": %b}}' % (field.encode(), value)))
    assert isinstance(fault, ModelRefused)
    assert fault.code == "invalid_request"
    fault.message.encode()


@pytest.mark.parametrize(
    "header",
    [
        b"retry-after: Mon, 01 Jan 99999999999999 00:00:00 -0000",
        b"retry-after: Mon, 99999999999999999999 Jan 2020 00:00:00 GMT",
        b"retry-after: 1e999",
        b"content-type: text/plain; charset=idna",
        b"content-type: application/json; charset=undefined",
        b"content-encoding: x",
        b"set-cookie: \xff=;;;a",
    ],
)
async def test_a_status_is_known_whatever_the_headers_say(header: bytes) -> None:
    body = json.dumps({"error": {"message": "née \N{SNOWMAN}"}}, ensure_ascii=False).encode()
    fault = await fault_for(_error(429, body, header))
    assert isinstance(fault, ModelUnavailable)
    assert (fault.code, fault.retry_after) == ("rate_limited", None)
