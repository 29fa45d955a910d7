"""The parameters of the routes, with their bounds as the API describes them, and their checks."""

from typing import Annotated

from litestar.openapi.spec import Schema
from litestar.params import HeaderParameter, PathParameter, QueryParameter

from domain.errors import MalformedEventId, MalformedTaskId
from domain.events import POSITION_PATTERN, START, Position
from domain.task import TASK_ID_PATTERN, check_task_id
from entrypoints.http.idempotency_key import IDEMPOTENCY_KEY_LIMIT
from entrypoints.http.problems import FieldFault, invalid

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
    try:
        if text := header or query:
            position = Position.parse(text)
    except MalformedEventId as error:
        field = "Last-Event-ID" if header else "lastEventId"
        faults.append({"field": field, "message": str(error)})
    if faults:
        raise invalid(faults)
    return position
