"""The log of an account: what became of its messages, and the messages that have just ended.

It is in memory, and of this process only: to note an event costs no write. QStash keeps the newest
10,000 events, too.
"""

import base64
import re
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from entrypoints.local_qstash.bounds import (
    LOG_AGE,
    LOG_BODY_AGE,
    LOG_BODY_BYTES,
    LOG_BYTES,
    LOG_EVENT_BYTES,
    LOG_EVENTS,
    LOG_MESSAGE_BYTES,
    LOG_RESPONSE_BYTES,
    OVERHEAD,
    PAGE_BYTES,
    size_of,
)
from entrypoints.local_qstash.delivery_response import DeliveryResponse
from entrypoints.local_qstash.filters import Facts, Search
from entrypoints.local_qstash.message import QueuedMessage
from entrypoints.local_qstash.refusals import BadMessage
from entrypoints.local_qstash.states import State

EARLIEST_NUMBER = 10**14
"""Numbers of events are microseconds since 1970, so that none is lower. What is lower is a time in
milliseconds, with which the JavaScript SDK may begin to page."""
_CURSOR = re.compile(r"[0-9]{1,18}(-[0-9]{1,18})?")
"""As QStash has it: the SDKs' own tests take what is before the dash as a number that falls from
page to page. Behind it is nothing of ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLimits:
    number: int = LOG_EVENTS
    size: int = LOG_BYTES
    """Bytes of all but the bodies of messages."""
    age: float = LOG_AGE
    """Seconds."""
    body_size: int = LOG_BODY_BYTES
    """Bytes of the bodies of messages that have ended."""
    body_age: float = LOG_BODY_AGE
    """Seconds for which these are kept."""


NO_LOG = LogLimits(number=0)
"""Nothing is noted."""


class _Noted:
    """A message that has events in the log."""

    __slots__ = ("events", "message", "size", "state", "withdrawn")

    def __init__(self, message: QueuedMessage) -> None:
        self.message = _without_body(message)
        """With its body as long as that is kept."""
        self.size = size_of(self.message) - OVERHEAD + LOG_MESSAGE_BYTES
        self.events = 0
        self.state = State.CREATED
        self.withdrawn = False
        """Whether it was cancelled."""


class Event(NamedTuple):
    number: int
    """Of each event higher than of those before: microseconds since 1970."""
    state: State
    noted: _Noted
    response: DeliveryResponse | None
    next_at: int | None
    size: int

    @property
    def at(self) -> int:
        return self.number // 1000


class Journal:
    """The newest events and messages within the limits."""

    def __init__(self, limits: LogLimits | None = None) -> None:
        self._limits = limits or LogLimits()
        self._events: deque[Event] = deque()
        self._noted: dict[str, _Noted] = {}
        self._size = 0
        self._bodies: dict[str, float] = {}
        """When each message whose body is kept has ended; oldest first."""
        self._body_size = 0
        self.newest = 0
        """The number of the newest event."""
        self.observer: Callable[[QueuedMessage, State], None] = lambda message, state: None
        """Is called with each event."""

    def note(
        self,
        message: QueuedMessage,
        state: State,
        response: DeliveryResponse | None = None,
        next_at: int | None = None,
    ) -> None:
        """Note an event. `next_at`: when the message is delivered next, in milliseconds since the
        Unix epoch."""
        self.observer(message, state)
        if not self._limits.number:
            return
        now = time.time()
        noted = self._noted.get(message.id)
        if noted is None:
            noted = self._noted[message.id] = _Noted(message)
            self._size += noted.size
        noted.state = state
        noted.events += 1
        noted.withdrawn = noted.withdrawn or state is State.CANCEL_REQUESTED
        if state in (State.DELIVERED, State.FAILED) and not noted.withdrawn:
            self._keep_body(noted, message, now)
        self.newest = max(self.newest + 1, int(now * 1_000_000))
        shown = None if response is None else _shortened(response)
        size = LOG_EVENT_BYTES + (0 if shown is None else _size_of_response(shown))
        self._events.append(Event(self.newest, state, noted, shown, next_at, size))
        self._size += size
        self.drop_old(now)

    def message(self, message_id: str) -> QueuedMessage | None:
        """Return a message that has ended otherwise than by a cancel, as long as its body is kept:
        it is in no store any more."""
        return self._noted[message_id].message if message_id in self._bodies else None

    def state_of(self, message_id: str) -> State | None:
        """Return the last state of a message, if an event of it is kept."""
        noted = self._noted.get(message_id)
        return None if noted is None else noted.state

    def page(self, search: Search) -> tuple[list[Event], str | None]:
        """Return the events that match, newest first, from the one whose number is the
        cursor (or from a time in milliseconds), and the cursor of the next page. Raises
        BadMessage."""
        self.drop_old(time.time())
        newest = _number(search.cursor)
        page: list[Event] = []
        size = 0
        for event in reversed(self._events):
            if newest is not None and event.number > newest:
                continue
            if not search.matches(_facts_of(event)):
                continue
            size += event.size + event.noted.size + len(event.noted.message.body)
            if page and (len(page) == search.count or size > PAGE_BYTES):
                return page, f"{event.number}-0"
            page.append(event)
        return page, None

    def drop_old(self, now: float) -> None:
        """Forget what is beyond the limits. `now`: seconds since the Unix epoch."""
        limits = self._limits
        oldest_kept = (now - limits.age) * 1_000_000
        while self._events and (
            len(self._events) > limits.number
            or self._size > limits.size
            or self._events[0].number < oldest_kept
        ):
            event = self._events.popleft()
            self._size -= event.size
            event.noted.events -= 1
            if not event.noted.events:
                del self._noted[event.noted.message.id]
                self._size -= event.noted.size
                self._drop_body(event.noted)
        while self._bodies:
            message_id = next(iter(self._bodies))
            young = self._bodies[message_id] > now - limits.body_age
            if young and self._body_size <= limits.body_size:
                return
            self._drop_body(self._noted[message_id])

    def _keep_body(self, noted: _Noted, message: QueuedMessage, now: float) -> None:
        self._drop_body(noted)
        noted.message = message
        self._bodies[message.id] = now
        self._body_size += len(message.body)

    def _drop_body(self, noted: _Noted) -> None:
        if self._bodies.pop(noted.message.id, None) is not None:
            self._body_size -= len(noted.message.body)
            noted.message = _without_body(noted.message)


def shown(event: Event, message: QueuedMessage) -> dict[str, Any]:
    """Return an event as `GET /v2/logs` shows it. `message`: its message, with the body if that is
    to be shown. Where the description of the API and the Python SDK name a field differently, it
    has both names."""
    response = event.response
    entry = message.as_json()
    for name in ("createdAt", "notBefore"):
        entry.pop(name)
    for name in ("callbackHeader", "failureCallbackHeader"):
        if name in entry:
            entry[f"{name}s"] = entry.pop(name)
    text, encoded = entry.pop("body", None), entry.pop("bodyBase64", None)
    if message.body:
        entry["body"] = encoded if text is None else base64.b64encode(text.encode()).decode()
    if "retryDelayExpression" in entry:
        entry["retryDelayExpr"] = entry["retryDelayExpression"]
    if message.timeout is not None:
        entry["timeout"] = int(message.timeout * 1000)
    if event.next_at is not None:
        entry["nextDeliveryTime"] = event.next_at
    if response is not None:
        entry["error"] = _error(response)
        if response.status:
            headers = dict(response.headers)
            entry |= {
                "responseStatus": response.status,
                "responseHeader": headers,
                "responseHeaders": headers,
                "responseBody": base64.b64encode(response.body).decode(),
            }
    return {"time": event.at, "state": event.state, **entry}


def _without_body(message: QueuedMessage) -> QueuedMessage:
    return replace(message, body=b"") if message.body else message


def _error(response: DeliveryResponse) -> str:
    if response.status:
        return f"the destination responded with status {response.status}"
    return response.body.decode(errors="replace")


def _facts_of(event: Event) -> Facts:
    message, response = event.noted.message, event.response
    status = None if response is None else response.status
    return Facts.of(message)._replace(at=event.at, status=status, state=event.state)


def _number(cursor: str | None) -> int | None:
    if cursor is None:
        return None
    if _CURSOR.fullmatch(cursor) is None:
        raise BadMessage("cursor is not one that a page of the log has returned")
    number = int(cursor.partition("-")[0])
    return number if number >= EARLIEST_NUMBER else number * 1000 + 999


def _shortened(response: DeliveryResponse) -> DeliveryResponse:
    if len(response.body) <= LOG_RESPONSE_BYTES:
        return response
    return replace(response, body=response.body[:LOG_RESPONSE_BYTES])


def _size_of_response(response: DeliveryResponse) -> int:
    headers = response.headers.items()
    return len(response.body) + sum(len(name) + sum(map(len, values)) for name, values in headers)
