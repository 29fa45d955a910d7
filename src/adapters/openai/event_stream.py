"""Split the body of a response into Server-Sent Events. No I/O.

WHATWG's HTML standard defines them: any line ending, comments, `data:` with or without a space,
several data lines per event. A server that does not stream sends one JSON object, or a page, in
place of the events.
"""

from adapters.openai.errors import unreadable

EVENT_LIMIT = 8 * 1024 * 1024
"""Bytes of one event, and of a body that is none. A longer one makes the answer unreadable."""
_MARK = b"\xef\xbb\xbf"  # a byte order mark in front of the first event


class EventStream:
    """Call `feed` with the bytes of a body in order, then `rest`."""

    def __init__(self, limit: int = EVENT_LIMIT) -> None:
        """`limit`: bytes, in place of EVENT_LIMIT."""
        self._limit = limit
        self.whole = False
        """Whether these are no events, but one JSON object or a page: `rest` returns all of it."""
        self._opened = False  # whether the first bytes show that these are events
        self._held = b""  # a carriage return at the end of the bytes so far
        self._parts: list[bytes] = []  # of an event that is not complete
        self._size = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Return the events that these bytes complete; some may be empty. Each byte is scanned
        once, also if an event arrives in many parts. Raises ModelUnavailable for an event that is
        too long."""
        if not self._opened:
            data = self._open(data)
        if self._held:
            data, self._held = self._held + data, b""
        if b"\r" in data:
            # A carriage return at the end may be half of a line ending: keep it for the next bytes.
            self._held = b"\r" if data[-1:] == b"\r" else b""
            data = data.removesuffix(self._held).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if self._parts:
            split = data[:1] == b"\n" and self._parts[-1][-1:] == b"\n"
            if not split and b"\n\n" not in data:
                self._keep(data)
                return []
            data = b"".join([*self._parts, data])
            self._parts, self._size = [], 0
        *events, rest = data.split(b"\n\n")
        if rest:
            self._keep(rest)
        return events

    def rest(self) -> bytes:
        """Return what follows the last complete event: an event without its empty line, perhaps a
        part of one, or the whole body."""
        last, self._parts = b"".join(self._parts), []
        return last

    def _open(self, data: bytes) -> bytes:
        """Return the first bytes of the events, once it is known that they are events."""
        if self.whole:
            self._keep(data)
            return b""
        data, self._parts, self._size = b"".join([*self._parts, data]), [], 0
        if _MARK.startswith(data):  # maybe only a part of it
            self._keep(data)
            return b""
        data = data.removeprefix(_MARK).lstrip()
        if data[:1] in (b"{", b"[", b"<"):
            self.whole = True
            self._keep(data)
            return b""
        self._opened = bool(data)
        return data

    def _keep(self, part: bytes) -> None:
        if part:
            self._parts.append(part)
            self._size += len(part)
            if self._size > self._limit:
                raise unreadable()


def payload_of(event: bytes) -> bytes:
    """Return the data lines of an event, joined. It may also have comments and other fields."""
    if event.startswith(b"data:") and b"\n" not in event:
        return event[5:]  # the usual case
    return b"\n".join([line[5:] for line in event.split(b"\n") if line.startswith(b"data:")])
