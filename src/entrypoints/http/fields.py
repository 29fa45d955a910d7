"""Read the fields of a JSON object strictly, and name everything that is wrong with them.

Null is the same as a field that is not there: OpenAI's clients send both.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from domain.errors import Fault, shown
from domain.request import FAULTS_LIMIT, RequestBounds, TaskRequest
from entrypoints.http.problems import FieldFault, invalid

_PLACE = re.compile(r"input\[\d+\]|messages\[\d+\](?:\.parts\[\d+\])?|[^.\[]+")
_WHOLE = "a whole number"
_RESULT = re.compile(r"messages\[\d+\]\.tool_call_id")


UNSUPPORTED = dict.fromkeys(
    ("budget", "deadline", "delay", "flowControl", "notBefore", "prefill", "webhook"),
    "is not accepted here: use /api/tasks/start",
)
"""Extensions that a server of models would ignore. Passed on, they would seem to be in force."""


class Fields:
    """The fields of an object. One that has the wrong type is added to the faults, and read as if
    it were not there."""

    __slots__ = ("_faults", "_path", "_read", "_values")

    def __init__(self, values: Mapping[str, Any], path: str, faults: list[Fault]) -> None:
        """`path`: where the object lies in the body, empty for the body itself."""
        self._values = values
        self._path = path
        self._faults = faults
        self._read: set[str] = set()

    def path(self, name: str) -> str:
        return f"{self._path}.{shown(name)}" if self._path else shown(name)

    def refuse(self, name: str, message: str) -> None:
        """Add a fault of a field. An empty name is the object itself."""
        if len(self._faults) < FAULTS_LIMIT:
            self._faults.append(Fault(self.path(name) if name else self._path, message))

    def refuse_given(self, refused: Mapping[str, str]) -> None:
        """Refuse those of the fields that are given. `refused`: why, by name."""
        for name, message in refused.items():
            if self.value(name) is not None:
                self.refuse(name, message)

    def value(self, name: str) -> Any:
        """Return a field of any type, or None."""
        self._read.add(name)
        return self._values.get(name)

    def text(self, name: str) -> str | None:
        value = self.value(name)
        return value if self._is(name, value, isinstance(value, str), "a string") else None

    def required_text(self, name: str) -> str:
        if self.value(name) is None:
            self.refuse(name, "is required")
        return self.text(name) or ""

    def flag(self, name: str) -> bool | None:
        value = self.value(name)
        return value if self._is(name, value, isinstance(value, bool), "true or false") else None

    def number(self, name: str) -> float | None:
        value = self.value(name)
        right = isinstance(value, int | float) and not isinstance(value, bool)
        return value if self._is(name, value, right, "a number") else None

    def whole(self, name: str) -> int | None:
        value = self.number(name)
        whole = isinstance(value, int) or (value is not None and value.is_integer())
        # 10.0 is a whole number in JSON.
        return int(value) if value is not None and self._is(name, value, whole, _WHOLE) else None

    def choice(self, name: str, choices: Collection[str]) -> str | None:
        value = self.value(name)
        if value is None or (isinstance(value, str) and value in choices):
            return value
        words = ", ".join(f'"{each}"' for each in choices)
        self.refuse(name, f"must be one of {words}")
        return None

    def array(self, name: str) -> list[Any] | None:
        value = self.value(name)
        return value if self._is(name, value, isinstance(value, list), "an array") else None

    def inner(self, name: str) -> "Fields | None":
        value = self.value(name)
        if not self._is(name, value, isinstance(value, dict), "an object"):
            return None
        return Fields(value, self.path(name), self._faults)

    def objects(self, name: str) -> "list[Fields]":
        """Return the objects in an array. What is none is a fault."""
        found = []
        for index, value in enumerate(self.array(name) or ()):
            each = Fields(value, f"{self.path(name)}[{index}]", self._faults)
            if isinstance(value, dict):
                found.append(each)
            else:
                each.refuse("", "must be an object")
        return found

    def texts(self, name: str) -> dict[str, str]:
        """Return an object that holds only strings, without what is none."""
        value = self.value(name)
        if not self._is(name, value, isinstance(value, dict), "an object"):
            return {}
        texts = {key: each for key, each in value.items() if isinstance(each, str)}
        if len(texts) < len(value):
            self.refuse(name, "each value must be a string")
        return texts

    def ignore(self, *names: str) -> None:
        """Count fields as read."""
        self._read.update(names)

    def given(self) -> dict[str, Any]:
        """Return all fields, as they are."""
        return {name: value for name, value in self._values.items() if value is not None}

    def unread(self) -> dict[str, Any]:
        """Return the fields that have not been read, as they are."""
        return {
            name: value
            for name, value in self._values.items()
            if value is not None and name not in self._read
        }

    def refuse_unread(self) -> None:
        for name in self.unread():
            self.refuse(name, "is not known")

    def _is(self, name: str, value: object, right: bool, words: str) -> bool:
        """Whether there is a value and it is right. A wrong one is a fault."""
        if value is not None and not right:
            self.refuse(name, f"must be {words}")
        return value is not None and right


def raise_for(faults: Sequence[Fault]) -> None:
    """Raise a problem (400) if there are faults."""
    if faults:
        raise invalid([{"field": each.field, "message": each.message} for each in faults])


def refuse_if(
    faults: Sequence[Fault],
    request: TaskRequest,
    bounds: RequestBounds,
    param_of: Callable[[str], str],
) -> None:
    """Raise a problem (400) if there are faults, together with the bounds that the rest of the
    request breaks. `param_of`: what the client wrote for a field of the request."""
    if not faults:
        return
    wrong = {_place(fault.field) for fault in faults}
    input_read = not any(each.startswith(("input", "messages")) for each in wrong)
    told: list[FieldFault] = [{"field": each.field, "message": each.message} for each in faults]
    for each in request.faults(bounds):
        param = param_of(each.field)
        if _place(param) in wrong or (param == "input" and not input_read):
            continue
        # A field may seem to be empty only because what it holds could not be read.
        if any(each.startswith((f"{param}.", f"{param}[")) for each in wrong):
            continue
        # The call of a result may be in what could not be read.
        if _RESULT.fullmatch(each.field) and not input_read:
            continue
        told.append({"field": param, "message": each.message})
    raise invalid(told[:FAULTS_LIMIT])


def _place(param: str) -> str:
    """The item of the input, the part or the message, or else the parameter in which a field is."""
    found = _PLACE.match(param)
    return found[0] if found else param
