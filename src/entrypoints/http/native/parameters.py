"""The parameters of the routes, with their bounds as the API describes them, and their checks."""

import re
from typing import Annotated

from litestar.datastructures import MultiDict
from litestar.openapi.spec import OpenAPIType, Schema
from litestar.params import HeaderParameter, PathParameter, QueryParameter

from domain.errors import Fault, MalformedEventId, MalformedTaskId
from domain.position import POSITION_PATTERN, START, Position
from domain.task_id import TASK_ID_PATTERN, check_task_id
from entrypoints.http.fields import raise_for
from entrypoints.http.idempotency_key import IDEMPOTENCY_KEY_LIMIT
from entrypoints.http.native.list_query import query_faults
from entrypoints.http.problems import FieldFault, invalid

MAX_WAIT, DEFAULT_WAIT = 300, 30
"""Seconds for which a response is held until its task has ended. The default is below the
time-outs that clients and proxies usually have."""
_NUMBER = re.compile(r"-?\d{1,9}(\.\d{1,20})?([eE][+-]?\d{1,3})?")

_ID = {"pattern": f"^{TASK_ID_PATTERN}$"}
_EVENT_ID = {"any_of": [Schema(max_length=0), Schema(pattern=f"^{POSITION_PATTERN}$")]}

TaskIdPath = Annotated[str, PathParameter(name="taskId", description="The task.", schema_extra=_ID)]
TaskIdQuery = Annotated[
    str, QueryParameter(name="taskId", description="The task.", schema_extra=_ID)
]
LastEventHeader = Annotated[
    str,
    HeaderParameter(name="Last-Event-ID", description="Resume behind it.", schema_extra=_EVENT_ID),
]
LastEventQuery = Annotated[
    str,
    QueryParameter(
        name="lastEventId", description="The same, in the query.", schema_extra=_EVENT_ID
    ),
]
_CURSOR = r"[0-9]{1,15}"
_LAST_CURSOR = {"any_of": [Schema(max_length=0), Schema(pattern=f"^{_CURSOR}$")]}
LastCursorHeader = Annotated[
    str,
    HeaderParameter(
        name="Last-Event-ID", description="Go on behind it.", schema_extra=_LAST_CURSOR
    ),
]
LastCursorQuery = Annotated[
    str,
    QueryParameter(
        name="lastEventId", description="The same, in the query.", schema_extra=_LAST_CURSOR
    ),
]
Wait = Annotated[
    str,
    QueryParameter(
        name="wait",
        description=f"Seconds to wait for the end of the task, from 0 to {MAX_WAIT}.",
        schema_extra={
            "type": OpenAPIType.NUMBER,
            "minimum": 0,
            "maximum": MAX_WAIT,
            "default": DEFAULT_WAIT,
        },
    ),
]
IdempotencyKey = Annotated[
    str | None,
    HeaderParameter(
        name="Idempotency-Key",
        description=(
            "The same key and body within 24 hours return the same task, unless that has failed."
        ),
        schema_extra={
            "max_length": IDEMPOTENCY_KEY_LIMIT,
            "pattern": "^[!-~]([ -~]*[!-~])?$",
        },
    ),
]


def task_id_faults(task_id: str) -> list[FieldFault]:
    try:
        check_task_id(task_id)
    except MalformedTaskId as error:
        return [{"field": "taskId", "message": str(error)}]
    return []


def position_of(task_id: str, header: str, query: str) -> Position:
    """The position behind which a stream of the task goes on. The header wins: it is what a browser
    sends by itself when it reconnects, so it is the newer one. Raises a problem (400) that names
    each parameter at fault."""
    position, faults = START, task_id_faults(task_id)
    for field, text in (("lastEventId", query), ("Last-Event-ID", header)):
        try:
            position = Position.parse(text) if text else position
        except MalformedEventId as error:
            faults.append({"field": field, "message": str(error)})
    if faults:
        raise invalid(faults)
    return position


def cursor_of(query: MultiDict[str], header: str, in_query: str) -> int | None:
    """The cursor behind which a stream of changes goes on. None: the client has seen none. The
    header wins, as it does in `position_of`. Raises a problem (400) that names each parameter at
    fault."""
    faults = query_faults(query, ("lastEventId",))
    for field, text in (("lastEventId", in_query), ("Last-Event-ID", header)):
        if text and not re.fullmatch(_CURSOR, text):
            faults.append(Fault(field, "must be the id of an event of this stream: digits"))
    raise_for(faults)
    text = header or in_query
    return int(text) if text else None


def seconds_of(task_id: str, wait: str) -> float:
    """Return for how many seconds a response is held. Raises a problem (400) that names each
    parameter at fault."""
    faults = task_id_faults(task_id)
    seconds = float(wait) if _NUMBER.fullmatch(wait) else -1.0
    if not 0 <= seconds <= MAX_WAIT:
        faults.append({"field": "wait", "message": f"must be a number from 0 to {MAX_WAIT}"})
    if faults:
        raise invalid(faults)
    return seconds
