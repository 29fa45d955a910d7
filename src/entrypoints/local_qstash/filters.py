"""What a call that lists, cancels, deletes or retries many is about: ids, or filters.

Sources: QStash's description of its API and its SDKs. Several values of one filter mean any of
them, and several filters mean all of them. They stand in the query or, as the Python SDK sends ids,
in a JSON body. What is not understood is refused: a call that cancels some messages must never
cancel all.
"""

import re
from collections.abc import Iterable, KeysView, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit

from entrypoints.local_qstash.message import QueuedMessage
from entrypoints.local_qstash.refusals import BadMessage
from entrypoints.local_qstash.states import UNDER_WAY, State


class Facts(NamedTuple):
    """What a message, a dead letter or an event of the log is found by."""

    id: str
    """That of the message or of the dead letter."""
    at: int
    """When it was created, or happened: milliseconds since the Unix epoch."""
    url: str
    message_id: str | None = None
    labels: Sequence[str] = ()
    queue: str | None = None
    flow_key: str | None = None
    url_group: str | None = None
    schedule_id: str | None = None
    caller_ip: str | None = None
    status: int | None = None
    """Of the last response."""
    state: State | None = None

    @classmethod
    def of(cls, message: QueuedMessage) -> Self:
        return cls(
            message.id,
            message.created_at,
            message.url,
            message.id,
            message.labels,
            message.queue,
            None if message.flow is None else message.flow.key,
            message.url_group,
            message.schedule_id,
            message.caller_ip,
        )


_FIELDS = {
    "messageId": "message_id",
    "messageIds": "message_id",
    "url": "url",
    "topicName": "url_group",
    "queueName": "queue",
    "scheduleId": "schedule_id",
    "callerIp": "caller_ip",
    "flowControlKey": "flow_key",
    "responseStatus": "status",
    "state": "state",
}
"""The filters that compare one of the facts. Besides these there are label, host and path."""
_ALSO = {"callerIP": "callerIp"}
_COMMAS = {"url": re.compile(r", ?(?=https?://)"), "path": re.compile(r", ?(?=/)")}
"""What separates values: a URL and a path may have commas of their own."""
_COMMA = re.compile(", ?")
_WHOLE = re.compile(r"-?\d{1,18}")
_COMMON = ("url", "topicName", "queueName", "label", "scheduleId", "callerIp", "flowControlKey")


@dataclass(frozen=True, slots=True)
class Kind:
    """What is searched."""

    ids: str | None
    """The parameter that names them, and replaces the filters."""
    filters: Sequence[str]
    most: int
    """The highest count."""
    count: int | None
    """The count, unless the call says one. None: all."""
    cursor: bool = True
    """Whether a page says where the next one begins."""


MESSAGES = Kind("messageIds", (*_COMMON, "host", "path"), 500, None, cursor=False)
LETTERS = Kind("dlqIds", (*_COMMON, "messageId", "responseStatus"), 100, 100)
LOGS = Kind(None, (*_COMMON, "messageId", "messageIds", "state", "host", "path"), 100, 100)
EVENTS = Kind(None, LOGS.filters, 1_000, 100)
"""The same by the name of the SDKs, one of which promises pages of 1,000."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What a call is about. Without ids and filters that is all."""

    ids: KeysView[str] | None = None
    """In the order of the call. The filters do not matter then."""
    wanted: Mapping[str, frozenset[Any]] = field(default_factory=dict)
    """The values that each filter wants."""
    begin: int | None = None
    end: int | None = None
    """Milliseconds since the Unix epoch, both inclusive."""
    count: int | None = None
    cursor: str | None = None

    @classmethod
    def of(cls, *ids: str) -> Self:
        return cls(ids=dict.fromkeys(ids).keys())

    @property
    def everything(self) -> bool:
        return self.ids is None and not self.wanted and self.begin is None and self.end is None

    def matches(self, facts: Facts) -> bool:
        if self.ids is not None:
            return facts.id in self.ids
        return (
            (self.begin is None or self.begin <= facts.at)
            and (self.end is None or facts.at <= self.end)
            and all(not values.isdisjoint(_of(facts, name)) for name, values in self.wanted.items())
        )


def read_search(kind: Kind, query: Iterable[tuple[str, str]], body: Any = None) -> Search:
    """Return what a call with this query and this JSON body (None: without one) is about. Raises
    BadMessage, which names what is not understood."""
    given: dict[str, list[str]] = {}
    for name, values in (*((name, [value]) for name, value in query), *_in_body(body)):
        given.setdefault(_ALSO.get(name, name), []).extend(values)
    known = {"fromDate", "toDate", "count", *kind.filters}
    known |= {"cursor"} if kind.cursor else set()
    known |= set() if kind.ids is None else {kind.ids}
    if unknown := given.keys() - known:
        named = ", ".join(sorted(unknown))
        raise BadMessage(f"unknown: {named}. Known here: {', '.join(sorted(known))}")
    count = _whole("count", _only(given, "count"))
    if count is not None and not 1 <= count <= kind.most:
        raise BadMessage(f"count must be from 1 to {kind.most}")
    begin, end = (_whole(name, _only(given, name)) for name in ("fromDate", "toDate"))
    wanted = {name: _wanted(name, given[name]) for name in kind.filters if name in given}
    if kind.ids is not None and kind.ids in given:
        return Search.of(*_split(kind.ids, given[kind.ids]))
    return Search(
        wanted=wanted,
        begin=begin,
        end=end,
        count=kind.count if count is None else count,
        cursor=_only(given, "cursor") or None,
    )


def _in_body(body: Any) -> Iterable[tuple[str, list[str]]]:
    """Return each name with its values. Of an empty list, none is meant, and not all."""
    if body is None:
        return
    if not isinstance(body, dict) or not body:
        raise BadMessage("the body must be a JSON object with ids or filters")
    for name, given in body.items():
        values = given if isinstance(given, list) else [given]
        if any(not isinstance(each, str | int) or isinstance(each, bool) for each in values):
            raise BadMessage(f"{name} must be a text, a whole number, or a list of these")
        yield name, [str(each) for each in values]


def _only(given: Mapping[str, Sequence[str]], name: str) -> str | None:
    if name not in given:
        return None
    if len(given[name]) != 1:
        raise BadMessage(f"{name} must have one value")
    return given[name][0]


def _whole(name: str, text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and _WHOLE.fullmatch(text)):
        unit = "" if name in ("count", "responseStatus") else ", in milliseconds since 1970"
        raise BadMessage(f"{name} must be a whole number{unit}")
    return int(text)


def _split(name: str, values: Iterable[str]) -> list[str]:
    comma = _COMMAS.get(name, _COMMA)
    parts = [each for value in values for each in comma.split(value)]
    if "" in parts:
        raise BadMessage(f"{name} has an empty value")
    return parts


def _wanted(name: str, values: Iterable[str]) -> frozenset[Any]:
    parts = _split(name, values)
    if name == "responseStatus":
        return frozenset(_whole(name, each) for each in parts)
    if name == "state":
        return frozenset(state for each in parts for state in _states(each))
    return frozenset(each.lower() if name == "host" else each for each in parts)


def _states(text: str) -> Iterable[State]:
    if text == "IN_PROGRESS":
        return UNDER_WAY
    try:
        return [State("CANCELED" if text == "CANCELLED" else text)]
    except ValueError:
        states = ", ".join([*State, "IN_PROGRESS"])
        raise BadMessage(f"state must be one of {states}") from None


def _of(facts: Facts, name: str) -> Sequence[Any]:
    """Return the values of a message that a filter compares."""
    if name == "label":
        return facts.labels
    if name in ("host", "path"):
        return _hosts(facts.url) if name == "host" else [urlsplit(facts.url).path or "/"]
    return [getattr(facts, _FIELDS[name])]


def _hosts(url: str) -> Sequence[str]:
    """Return the host of a URL, without its port and with it."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    return [host, parts.netloc.rpartition("@")[2].lower()]
