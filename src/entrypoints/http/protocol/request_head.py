"""What the protocol itself reads of a request's head, before it is parsed and after."""

import re
from collections.abc import Iterable
from typing import NamedTuple

HEAD_LIMIT = 32 * 1024
"""Bytes of request line and headers; also of chunk extensions and trailers between two pieces of a
body."""
LINES_LIMIT = 128
"""Lines of a head. Each takes some 200 bytes of memory, however short: a browser sends 20."""
HEAD_END = b"\r\n\r\n"

Headers = Iterable[tuple[bytes, bytes]]

ONCE = frozenset(
    {
        b"authorization",
        b"content-type",
        b"host",
        b"idempotency-key",
        b"last-event-id",
        b"origin",
        b"sec-fetch-site",
        b"upstash-signature",
    }
)
"""Headers that decide what a request may do. If one of them were repeated, two readers could each
decide by another value (RFC 9110, section 5.3: a sender must not repeat them)."""
_LENGTH, _CODING = b"content-length", b"transfer-encoding"
_METHOD = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_BLANK = re.compile(rb"[\r\n]+")
_UPGRADE = re.compile(rb"^upgrade(?=:)", re.IGNORECASE | re.MULTILINE)


class HeadRefused(Exception):
    """Raised for a head that is not parsed. `status` is the status line of the response."""

    def __init__(self, status: str) -> None:
        super().__init__(status)
        self.status = status


def behind_blank(data: bytes, at: int) -> int:
    """The position behind the empty lines at `at`. A client may send some before a request
    (RFC 9112, section 2.2)."""
    blank = _BLANK.match(data, at)
    return at if blank is None else blank.end()


def part_of_head(part: bytes) -> bytes:
    """Return the part if it may be the beginning of a head. Raises HeadRefused if it is too long,
    or not HTTP from its first byte on, such as TLS."""
    if len(part) >= HEAD_LIMIT:
        raise HeadRefused("431 Request Header Fields Too Large")
    if part and part[0] not in _METHOD:
        raise HeadRefused("400 Bad Request")
    return part


def whole_head(head: bytes) -> bytes:
    """The head as it is parsed: without a request to upgrade the connection, which this server
    never does. The parser would end such a request with its head, and read its body as the next
    request. Raises HeadRefused for too many lines."""
    if head.count(b"\n") > LINES_LIMIT:
        raise HeadRefused("431 Request Header Fields Too Large")
    return _UPGRADE.sub(b"x-upgrade", head) if b"upgrade" in head.lower() else head


def is_ambiguous(headers: Headers, version: str) -> bool:
    """Whether one of the headers in ONCE is repeated, or Host is missing (RFC 9112, section 3.2).
    HTTP/1.0 needs no Host."""
    names = [name for name, _ in headers if name in ONCE]
    return len(set(names)) < len(names) or (b"host" not in names and version != "1.0")


class Framing(NamedTuple):
    """How the body of a request is framed."""

    length: int
    """Bytes of the body as its head says; 0 if there is none, or if it is chunked."""
    chunked: bool


def framing_of(headers: Headers) -> Framing:
    """The framing that the headers declare. The parser has checked them."""
    length = 0
    for name, value in headers:
        if name == _CODING:
            return Framing(0, chunked=True)
        if name == _LENGTH:
            length = int(value)
    return Framing(length, chunked=False)
