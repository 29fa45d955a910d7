"""Hold the requests of starts within a bound on their memory: while they are read, and until they
are answered.

A body is short and soon read, unless its client is slow on purpose. So when all of them together
hold more than they may, the one that has been read for the longest time is refused, and quick
clients are not kept waiting. One that has been read whole is not refused any more.
"""

import asyncio
from contextlib import suppress

from litestar.datastructures import Headers
from litestar.plugins.problem_details import ProblemDetailsException
from litestar.types import ASGIApp, Receive, ReceiveMessage, Scope, Send

from entrypoints.http.problems import problem, retry_after_header

SHORT = 16 * 1024
"""Bytes of a body that is not worth counting: the connection itself may hold more."""
ROOM = 64 * 1024 * 1024
"""Bytes of all bodies, at least."""
LARGEST = 8
"""Bodies of the greatest length for which there is always room."""


_BODY = "longtask.start_body"
"""Where a scope has the body that is counted."""


def hold_start_body(app: ASGIApp) -> ASGIApp:
    """A middleware: serve a start while its body is counted in the application's StartBodies."""

    async def held(scope: Scope, receive: Receive, send: Send) -> None:
        bodies: StartBodies = scope["litestar_app"].state.start_bodies
        if 0 < _announced(scope) <= SHORT:
            await app(scope, receive, send)
        else:
            body = _Body(bodies, receive)
            scope[_BODY] = body  # type: ignore[literal-required]
            try:
                await app(scope, body.receive, send)
            finally:
                body.release()

    return held


def release_start_body(scope: Scope) -> None:
    """Count the body of a start no longer: nothing holds it any more, though the response may take
    as long as the task."""
    body: _Body | None = scope.get(_BODY)  # type: ignore[assignment]
    if body is not None:
        body.release()


class StartBodies:
    def __init__(self, room: int = ROOM) -> None:
        """`room`: bytes of all bodies together."""
        self._room = room
        self._held = 0
        self._reading: dict[_Body, None] = {}  # the one that has been read the longest is first

    def begin(self, body: "_Body") -> None:
        """Count a body, which is read from now on."""
        self._reading[body] = None

    def add(self, body: "_Body", size: int) -> None:
        """Count more bytes of a body. Refuses the longest read ones unless there is room."""
        body.size += size
        self._held += size
        while self._held > self._room and self._reading:
            longest = next(iter(self._reading))
            self.release(longest)
            longest.refuse()

    def end(self, body: "_Body") -> None:
        """Keep a body, which has been read whole."""
        self._reading.pop(body, None)

    def release(self, body: "_Body") -> None:
        """Count a body no longer."""
        self._reading.pop(body, None)
        self._held -= body.size
        body.size = 0


class _Body:
    """The body of a start, as it is received."""

    __slots__ = ("_begun", "_bodies", "_cut", "_receive", "_refused", "size")

    def __init__(self, bodies: StartBodies, receive: Receive) -> None:
        self._bodies = bodies
        self._receive = receive
        self._begun = self._refused = False
        self._cut: asyncio.Timeout | None = None
        self.size = 0
        """Bytes that are counted."""

    def release(self) -> None:
        self._bodies.release(self)

    def refuse(self) -> None:
        """Make the receiver raise a problem, also if it is waiting."""
        self._refused = True
        if self._cut is not None:
            self._cut.reschedule(0.0)

    async def receive(self) -> ReceiveMessage:
        """Return the next message of the client. Raises a problem (503) for a body that took too
        long while there was no room."""
        if not self._begun:
            self._begun = True
            self._bodies.begin(self)
        message: ReceiveMessage | None = None
        with suppress(TimeoutError):
            async with asyncio.timeout(None) as self._cut:
                message = await self._receive()
        self._cut = None
        if message is not None and message["type"] == "http.request" and not self._refused:
            self._bodies.add(self, len(message["body"]))
            if not message["more_body"]:
                self._bodies.end(self)
        if message is None or self._refused:
            raise _too_slow()
        return message


def _announced(scope: Scope) -> int:
    """The length of the body in bytes, or 0 if it is not known."""
    length = Headers.from_scope(scope).get("content-length", "")
    return int(length) if length.isdecimal() else 0


def _too_slow() -> ProblemDetailsException:
    return problem(
        503,
        "too-many-requests-at-once",
        "The body came too slowly while too many others were being read.",
        headers={"Connection": "close", **retry_after_header(1)},
    )
