"""What the settings say for requests that do not say it."""

from dataclasses import dataclass, fields
from typing import Any

from domain.request import TaskRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestDefaults:
    """None is not sent to the model."""

    model: str
    max_tokens: int | None = None
    temperature: float | None = None

    def request(self, **asked: Any) -> TaskRequest:
        """Return the request of these fields. None is the same as a field that is not given."""
        given = {name: value for name, value in asked.items() if value is not None}
        return TaskRequest(**({name: getattr(self, name) for name in _FIELDS} | given))


_FIELDS = tuple(each.name for each in fields(RequestDefaults))
