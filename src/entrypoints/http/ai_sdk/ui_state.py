"""What a UI message stream follows from: the request, and the events of the log so far."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

from domain.events import TaskStatus
from domain.messages import objects_in
from domain.position import START, Position
from domain.request import TaskRequest

SDKS = (5, 6, 7)
"""Versions of the AI SDK. The last one is assumed of clients that name none."""


class Call(NamedTuple):
    """A call of a tool in the answer."""

    id: str
    dynamic: bool
    """Whether the request does not have the tool."""


class Calls:
    """The calls of an attempt. The states of its stream share it, and each asks only for those that
    began before an event: a copy for each state would cost more with every call."""

    __slots__ = ("_by_index",)

    def __init__(self) -> None:
        self._by_index: dict[int, tuple[int, Call]] = {}

    def add(self, index: int, number: int, call: Call) -> None:
        """Add the call that begins with event `number`."""
        self._by_index[index] = number, call

    def find(self, index: int, number: int) -> Call | None:
        """Return the call of an index that began before event `number`."""
        begun, call = self._by_index.get(index, (number, None))
        return call if begun < number else None

    def ids(self, number: int) -> list[str]:
        """Return the ids of the calls that began before event `number`."""
        return [call.id for begun, call in self._by_index.values() if begun < number]


@dataclass(frozen=True, slots=True)
class UiState:
    position: Position = START
    count: int = 0
    """Chunks so far."""
    kind: str = ""
    """Of the part that is open: text, refusal or reasoning. Empty: none is."""
    part: int = 0
    """The number of the event that opened the last part."""
    calls: Calls = field(default_factory=Calls, compare=False)
    """Those of the attempt."""
    lost_ids: frozenset[str] = frozenset()
    """Ids of calls of lost attempts."""
    status: TaskStatus = TaskStatus.PENDING
    finished: bool = False
    """Whether the last chunk is told."""

    @property
    def over(self) -> bool:
        """Whether the stream ends though the log goes on: never."""
        return False


@dataclass(frozen=True, slots=True)
class StreamContext:
    """What of a request its stream depends on."""

    task_id: str
    sdk: int
    """The version of the AI SDK."""
    message_id: str
    tools: frozenset[str]
    """The names of the tools that the request has."""
    call_ids: frozenset[str]
    """Ids of calls that the page has already."""

    @classmethod
    def of(cls, task_id: str, request: TaskRequest) -> Self:
        echo = echo_of(request)
        message = echo.get("message")
        return cls(
            task_id,
            echo.get("sdk", SDKS[-1]),
            f"msg_{task_id}" if message is None else message["id"],
            frozenset(_tools(request)),
            frozenset(_call_ids(request, message or {})),
        )


def echo_of(request: TaskRequest) -> Mapping[str, Any]:
    """Return what this face keeps with a request: `api`, `sdk`, and, if there are any, `chatId` and
    `message`, the message of the assistant that the answer continues. Nothing for a task of another
    face."""
    return request.echo if request.echo.get("api") == "ai-sdk" else {}


def _tools(request: TaskRequest) -> list[str]:
    functions = [each.get("function") for each in objects_in(request.options.get("tools"))]
    names = [each.get("name") for each in functions if isinstance(each, dict)]
    return [each for each in names if isinstance(each, str)]


def _call_ids(request: TaskRequest, message: Mapping[str, Any]) -> list[str]:
    ids = [each.get("toolCallId") for each in objects_in(message.get("parts"))]
    for each in request.conversation():
        ids += [call.get("id") for call in objects_in(each.get("tool_calls"))]
    return [each for each in ids if isinstance(each, str)]
