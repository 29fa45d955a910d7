"""The query of `GET /api/tasks`: which tasks a list is to have. Everything that is wrong with it is
named at once.

Litestar would read it one parameter and one fault at a time, and it knows no `metadata[key]=value`.
So this module reads the query, and describes it for the API's description.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from litestar.datastructures import MultiDict
from litestar.openapi.spec import OpenAPIFormat, OpenAPIType, Operation, Parameter, Schema

from application.ports import Entry
from domain.errors import Fault, shown
from domain.events import TaskStatus
from domain.request import (
    FAULTS_LIMIT,
    METADATA_KEY_LIMIT,
    METADATA_PAIRS_LIMIT,
    METADATA_VALUE_LIMIT,
    MODEL_NAME_LIMIT,
)
from domain.task_filter import TaskFilter
from domain.task_id import TASK_ID_PATTERN
from entrypoints.http.fields import raise_for
from entrypoints.http.native.start_body import MALFORMED_TIME
from entrypoints.times import milliseconds_of

MAX_LIMIT, DEFAULT_LIMIT = 100, 20
"""Tasks of one list."""
REPEATABLE = "status"
_NAMES = ("status", "model", "metadata", "createdAfter", "createdBefore", "limit", "after")
_METADATA = re.compile(r"metadata\[(.*)\]", re.DOTALL)
_CURSOR_PATTERN = rf"([0-9]{{1,15}})\.({TASK_ID_PATTERN})"
_CURSOR = re.compile(_CURSOR_PATTERN)
_MILLISECONDS = re.compile(r"[0-9]{1,15}")
_LIMIT = re.compile(r"[0-9]{1,3}")
_UNESCAPED_PLUS = re.compile(r" (?=\d\d:?\d\d$)")
"""Of a zone such as +01:00: in a query, a plus that is not escaped is a space."""


@dataclass(frozen=True, slots=True)
class ListQuery:
    wanted: TaskFilter
    after: Entry | None
    limit: int


def read_list_query(query: MultiDict[str]) -> ListQuery:
    """Return what a list is asked for. Raises a problem (400) that names every parameter at fault,
    those that are not known and those that are given twice included."""
    faults: list[Fault] = []
    given = _given(query, _NAMES, faults)
    metadata = _metadata(given, faults)
    single = {name: values[0] for name, values in given.items()}
    created_after = _time("createdAfter", single, faults)
    created_before = _time("createdBefore", single, faults)
    if None not in (created_after, created_before) and created_before <= created_after:  # type: ignore[operator]
        faults.append(Fault("createdBefore", "must be later than createdAfter"))
    wanted = TaskFilter(
        statuses=_statuses(given.get("status", ()), faults),
        model=_model(single, faults),
        metadata=metadata,
        created_after=created_after,
        created_before=created_before,
    )
    read = ListQuery(wanted, _cursor(single, faults), _limit(single, faults))
    raise_for(faults[:FAULTS_LIMIT])
    return read


def query_faults(query: MultiDict[str], known: Sequence[str]) -> list[Fault]:
    """Return those parameters that are not known, or are given twice."""
    faults: list[Fault] = []
    _given(query, known, faults)
    return faults[:FAULTS_LIMIT]


def cursor_text(entry: Entry) -> str:
    """The cursor of a list that goes on behind an entry: safe in a query as it is."""
    return f"{entry.created_at}.{entry.task_id}"


def _given(
    query: MultiDict[str], known: Sequence[str], faults: list[Fault]
) -> Mapping[str, Sequence[str]]:
    """Return the values of each parameter, by its name. The faults get those that are not known,
    and those that are given twice."""
    given: dict[str, list[str]] = {}
    for name, value in query.items():
        given.setdefault(name, []).append(value)
    for name, values in given.items():
        if name not in known and not ("metadata" in known and _METADATA.fullmatch(name)):
            faults.append(Fault(shown(name), f"is not known; known are {_names(known)}"))
        elif len(values) > 1 and name != REPEATABLE:
            faults.append(Fault(shown(name), "is given twice"))
    return given


def _names(known: Sequence[str]) -> str:
    return ", ".join("metadata[key]" if name == "metadata" else name for name in known)


def _statuses(values: Sequence[str], faults: list[Fault]) -> frozenset[TaskStatus]:
    names = [name for value in values for name in value.split(",")]
    known = {each.value: each for each in TaskStatus}
    if any(name not in known for name in names):
        words = ", ".join(known)
        faults.append(Fault("status", f"must be one or several of {words}, separated by commas"))
    return frozenset(known[name] for name in names if name in known)


def _model(single: Mapping[str, str], faults: list[Fault]) -> str | None:
    model = single.get("model")
    if model is not None and not 1 <= len(model) <= MODEL_NAME_LIMIT:
        faults.append(Fault("model", f"must be 1 to {MODEL_NAME_LIMIT} characters"))
    return model


def _metadata(given: Mapping[str, Sequence[str]], faults: list[Fault]) -> dict[str, str]:
    pairs = {
        found[1]: values[0]
        for name, values in given.items()
        if (found := _METADATA.fullmatch(name))
    }
    if "metadata" in given:
        faults.append(Fault("metadata", "must be written as metadata[key]=value"))
    if len(pairs) > METADATA_PAIRS_LIMIT:
        faults.append(Fault("metadata", f"must be at most {METADATA_PAIRS_LIMIT} pairs"))
    for key, value in pairs.items():
        field = shown(f"metadata[{key}]")
        if not 1 <= len(key) <= METADATA_KEY_LIMIT:
            faults.append(Fault(field, f"a key must be 1 to {METADATA_KEY_LIMIT} characters"))
        if len(value) > METADATA_VALUE_LIMIT:
            faults.append(Fault(field, f"must be at most {METADATA_VALUE_LIMIT} characters"))
    return pairs


def _time(name: str, single: Mapping[str, str], faults: list[Fault]) -> int | None:
    """Return milliseconds since the Unix epoch."""
    text = single.get(name)
    if text is None:
        return None
    if _MILLISECONDS.fullmatch(text):
        return int(text)
    time = milliseconds_of(_UNESCAPED_PLUS.sub("+", text))
    if time is None:
        faults.append(Fault(name, MALFORMED_TIME))
    return time


def _limit(single: Mapping[str, str], faults: list[Fault]) -> int:
    text = single.get("limit", str(DEFAULT_LIMIT))
    limit = int(text) if _LIMIT.fullmatch(text) else 0
    if not 1 <= limit <= MAX_LIMIT:
        faults.append(Fault("limit", f"must be a whole number from 1 to {MAX_LIMIT}"))
    return limit


def _cursor(single: Mapping[str, str], faults: list[Fault]) -> Entry | None:
    text = single.get("after")
    if text is None:
        return None
    found = _CURSOR.fullmatch(text)
    if found is None:
        faults.append(Fault("after", "must be the value of next in the page before"))
        return None
    return Entry(int(found[1]), found[2])


_TIME = Schema(
    any_of=[
        Schema(type=OpenAPIType.INTEGER, minimum=0, maximum=10**15 - 1),
        Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.DATE_TIME),
    ]
)
_VALUE = Schema(type=OpenAPIType.STRING, max_length=METADATA_VALUE_LIMIT)


@dataclass
class DescribedQuery(Operation):
    """The operation of a list in the API's description."""

    def __post_init__(self) -> None:
        self.parameters = [
            _described(
                "status",
                "Of these statuses: repeated, or separated by commas.",
                Schema(
                    type=OpenAPIType.ARRAY,
                    items=Schema(type=OpenAPIType.STRING, enum=[each.value for each in TaskStatus]),
                    min_items=1,
                ),
            ),
            _described(
                "model",
                "With this model: the one that answered, or the one that was requested.",
                Schema(type=OpenAPIType.STRING, min_length=1, max_length=MODEL_NAME_LIMIT),
            ),
            Parameter(
                "metadata",
                "query",
                description="With these pairs among its metadata: `metadata[key]=value`.",
                style="deepObject",
                explode=True,
                schema=Schema(
                    type=OpenAPIType.OBJECT,
                    max_properties=METADATA_PAIRS_LIMIT,
                    property_names=Schema(min_length=1, max_length=METADATA_KEY_LIMIT),
                    additional_properties=_VALUE,
                ),
            ),
            _described("createdAfter", "Created after this time, which is not included.", _TIME),
            _described("createdBefore", "Created before this time, which is not included.", _TIME),
            _described(
                "limit",
                "At most so many tasks.",
                Schema(
                    type=OpenAPIType.INTEGER, minimum=1, maximum=MAX_LIMIT, default=DEFAULT_LIMIT
                ),
            ),
            _described(
                "after",
                "Go on behind this cursor: the `next` of the list before.",
                Schema(type=OpenAPIType.STRING, pattern=f"^{_CURSOR_PATTERN}$"),
            ),
        ]


def _described(name: str, description: str, schema: Schema) -> Parameter:
    return Parameter(name, "query", description=description, schema=schema)
