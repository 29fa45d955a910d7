"""OpenAIModel beside a server that would have it read, decode or wait without end."""

import asyncio
import gzip
import itertools
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from functools import cache

import httpx2
import pytest

from adapters.openai import OpenAIModel, bounded_body
from adapters.openai.bounded_body import STEP, bound_body
from adapters.openai.client import READ_SIZE
from application.errors import ModelRefused, ModelUnavailable
from application.ports import Finished
from tests.builders import REQUEST
from tests.doubles.model import text_of as text_of_items
from tests.doubles.upstream import Gate, Script, Upstream, answer, finish, piece
from tests.waiting import within

MIB = 1024 * 1024


@cache
def bomb() -> bytes:
    """A megabyte that unpacks to 256."""
    return gzip.compress(bytes(256 * MIB), 1)


@asynccontextmanager
async def model_at(url: str) -> AsyncIterator[OpenAIModel]:
    model = OpenAIModel("key", url, read_timeout=30.0)
    try:
        async with asyncio.timeout(within(20)):
            yield model
    finally:
        await model.aclose()


async def text_of(model: OpenAIModel) -> str:
    return text_of_items([each async for each in model.stream(REQUEST)])


async def code_of(model: OpenAIModel) -> str:
    """Of the fault that the call must end with."""
    with pytest.raises((ModelRefused, ModelUnavailable)) as fault:
        await text_of(model)
    assert isinstance(fault.value, ModelRefused | ModelUnavailable)
    return fault.value.code


@contextmanager
def little_memory(most: int = 16 * MIB) -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < most
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("status", [302, 401, 500])
async def test_an_error_without_end_is_read_to_a_bound_and_hung_up_on(
    upstream: Upstream, status: int
) -> None:
    upstream.then(Script(itertools.repeat(b"x" * 16_384), status))
    async with model_at(upstream.url) as model:
        with little_memory():
            assert await code_of(model) in ("invalid_api_key", "model_error", "redirected")
        assert await asyncio.to_thread(upstream.received[0].gone.wait, 5)


@pytest.mark.parametrize(
    ("coding", "packed"),
    [
        ("gzip", bomb),
        ("deflate", lambda: zlib.compress(bytes(256 * MIB), 1)),
        ("gzip, gzip", lambda: gzip.compress(bomb())),
    ],
)
async def test_an_error_that_unpacks_to_a_lot_is_read_to_a_bound(
    upstream: Upstream, coding: str, packed: Callable[[], bytes]
) -> None:
    upstream.then(Script([packed()], 401, {"content-encoding": coding}))
    async with model_at(upstream.url) as model:
        with little_memory():
            assert await code_of(model) == "invalid_api_key"


async def test_an_error_that_drips_ends_in_time(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded_body, "ERROR_BODY_TIMEOUT", 0.2)
    upstream.then(Script(itertools.cycle([b"x", 0.02]), 401))
    async with model_at(upstream.url) as model:
        assert await code_of(model) == "invalid_api_key"
        assert await asyncio.to_thread(upstream.received[0].gone.wait, 5)


async def test_an_error_that_breaks_off_is_known_by_its_status(upstream: Upstream) -> None:
    upstream.then(Script([b'{"error": {"mess'], 401, cut=True))
    async with model_at(upstream.url) as model:
        assert await code_of(model) == "invalid_api_key"


async def test_the_body_of_a_redirect_is_not_read(upstream: Upstream) -> None:
    there = {"location": f"{upstream.url}/chat/completions"}
    upstream.then(Script(itertools.repeat(b"x" * 16_384), 307, there))
    async with model_at(upstream.url) as model:
        assert await code_of(model) == "redirected"
    assert len(upstream.received) == 1


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_an_encoded_stream_is_read_though_none_is_asked_for(
    upstream: Upstream, coding: str
) -> None:
    body = b"".join(answer("a", "b"))
    packed = gzip.compress(body) if coding == "gzip" else zlib.compress(body)
    steps = [packed[n : n + 1] for n in range(len(packed))]
    upstream.then(Script(steps, headers={"content-encoding": coding}))
    async with model_at(upstream.url) as model:
        assert await text_of(model) == "ab"
    assert upstream.received[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("coding", ["br", "zstd", "compress", "gzip, gzip", "gzip, identity, x"])
async def test_a_stream_in_another_coding_is_refused(upstream: Upstream, coding: str) -> None:
    upstream.then(Script(answer("a"), headers={"content-encoding": coding}))
    async with model_at(upstream.url) as model:
        assert await code_of(model) == "invalid_response"


async def test_a_stream_that_is_no_gzip_is_refused(upstream: Upstream) -> None:
    upstream.then(Script(answer("a"), headers={"content-encoding": "gzip"}))
    async with model_at(upstream.url) as model:
        assert await code_of(model) == "invalid_response"


async def test_an_event_that_unpacks_without_end_is_refused(upstream: Upstream) -> None:
    upstream.then(Script([bomb()], headers={"content-encoding": "gzip"}))
    async with model_at(upstream.url) as model:
        with little_memory(64 * MIB):
            assert await code_of(model) == "invalid_response"


class _Bytes(httpx2.AsyncByteStream):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield bomb()


async def test_a_packet_of_a_stream_unpacks_in_small_steps_with_turns_between() -> None:
    response = httpx2.Response(200, headers={"content-encoding": "gzip"}, stream=_Bytes())
    await bound_body(response)
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    beside = asyncio.create_task(others())
    sizes = [len(piece) async for piece in response.aiter_bytes()]
    beside.cancel()
    assert sum(sizes) == 256 * MIB
    assert max(sizes) <= STEP
    assert turns >= len(sizes) - 1


async def test_what_has_arrived_is_read_in_one_step(upstream: Upstream) -> None:
    """Each step becomes an append, which may cost as much as the parsing of a hundred tokens."""
    before, behind, word = Gate(), Gate(), piece(" token")
    many = 3 * READ_SIZE // 4 // len(word)
    upstream.then(Script([piece("One"), before, word * many, behind, finish()]))
    async with model_at(upstream.url) as model, aclosing(model.stream(REQUEST)) as stream:
        assert text_of_items([await anext(stream)]) == "One"
        before.open()
        assert await asyncio.to_thread(behind.reached.wait, 5)
        for _ in range(3):
            await asyncio.sleep(0)  # what is in the socket comes into the client's buffer
        assert text_of_items([await anext(stream)]) == " token" * many
        behind.open()


async def test_no_cookie_is_kept(upstream: Upstream) -> None:
    first, second = [Script(answer("a"), headers={"set-cookie": "a=b; Path=/"}) for _ in range(2)]
    upstream.then(first, second)
    async with model_at(upstream.url) as model:
        for _ in range(2):
            items = [each async for each in model.stream(REQUEST)]
            assert isinstance(items[-1], Finished)
    assert "cookie" not in upstream.received[1].headers
