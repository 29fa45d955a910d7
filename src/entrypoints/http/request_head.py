"""What the protocol itself reads of a request's head."""

from collections.abc import Iterable, Iterator
from typing import Any

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
"""Headers by which is decided what a request may do. If one of them came twice, two readers could
each decide by another value (RFC 9110, section 5.3: a sender must not repeat them)."""
_LENGTH = b"content-length"


def is_ambiguous(headers: Headers, version: str) -> bool:
    """Whether a header that decides is repeated, or Host is missing (RFC 9112, section 3.2).
    HTTP/1.0 does without one."""
    names = [name for name, _ in headers if name in ONCE]
    return len(set(names)) < len(names) or (b"host" not in names and version != "1.0")


def told_length(headers: Headers) -> int:
    """Bytes of the body, as Content-Length tells; 0 without one. The parser has checked it."""
    return next((int(value) for name, value in headers if name == _LENGTH), 0)


class _Dropped:
    """Takes the fields of a trailer, which come when the request is being answered already."""

    def append(self, header: tuple[bytes, bytes]) -> None: ...

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        return iter(())


TRAILER: Any = _Dropped()
