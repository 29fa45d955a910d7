"""How much is read of the responses of destinations, and what is said if there is none."""

import errno
from collections.abc import AsyncIterator

import httpx
import pytest

from entrypoints.local_qstash.bounds import RESPONSE_BYTES, SMALL_BYTES
from entrypoints.local_qstash.delivery_response import Reading, read_response
from entrypoints.local_qstash.no_response import no_response


class _Body(httpx.AsyncByteStream):
    def __init__(self, size: int, reading: Reading, piece: int = 10_000) -> None:
        self._size, self._reading, self._piece = size, reading, piece
        self.least = reading.left

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for begin in range(0, self._size, self._piece):
            yield b"x" * min(self._piece, self._size - begin)
            self.least = min(self.least, self._reading.left)


async def _length_read(size: int, reading: Reading) -> tuple[int, int]:
    """Return how much is read of a body, and how little room there was meanwhile."""
    body = _Body(size, reading)
    found = await read_response(httpx.Response(200, stream=body), reading)
    return len(found.body), body.least


async def test_one_response_is_read_up_to_its_bound() -> None:
    reading = Reading()
    room = reading.left
    assert (await _length_read(5, reading))[0] == 5
    read, least = await _length_read(2 * RESPONSE_BYTES, reading)
    assert read == RESPONSE_BYTES
    assert room - RESPONSE_BYTES < least < room - RESPONSE_BYTES + 2 * SMALL_BYTES
    assert reading.left == room


async def test_all_together_have_a_bound_and_each_its_beginning() -> None:
    """There may be 10,000 of them, which never end."""
    for left in (0, 5, 12_345):
        reading = Reading(left)
        assert (await _length_read(RESPONSE_BYTES, reading))[0] == SMALL_BYTES + left
        assert (await _length_read(SMALL_BYTES, reading))[0] == SMALL_BYTES
        assert reading.left == left


def _of(cause: BaseException) -> httpx.ConnectError:
    error = httpx.ConnectError("All connection attempts failed")
    error.__cause__ = cause
    return error


REFUSED = ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
UNREACHABLE = OSError(errno.ENETUNREACH, "Network is unreachable")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (_of(REFUSED), "no response: connection refused"),
        (
            _of(ExceptionGroup("of each address", [REFUSED, UNREACHABLE, REFUSED])),
            "no response: connection refused; network is unreachable",
        ),
        (httpx.ConnectError("[Errno -2] unknown name"), "no response: [Errno -2] unknown name"),
        (httpx.RemoteProtocolError("Server disconnected."), "no response: Server disconnected."),
        (httpx.ReadError(""), "no response: ReadError"),
        (httpx.ConnectTimeout(""), "no response: no connection in time"),
        (TimeoutError(), "no response within 7.5 s"),
    ],
)
def test_it_says_why_there_was_none(error: Exception, words: str) -> None:
    assert no_response(error, 7.5).body.decode() == words
