"""Every exception of the domain.

DomainError
├── IllegalTransition   a status does not allow this change
├── InvalidRequest      a request breaks its bounds; holds every Fault
├── MalformedTaskId     no task can have this id
├── MalformedEventId    this service never sent this event id
└── IllegalLog          no task can have this sequence of events
"""

from collections.abc import Sequence
from dataclasses import dataclass

NAME_LIMIT = 100
"""Characters of a name given by a client that are repeated: it can be as long as a body."""


def shown(name: str) -> str:
    """Return a name as it is repeated in a fault."""
    return name if len(name) <= NAME_LIMIT else f"{name[:NAME_LIMIT]}…"


class DomainError(Exception):
    """The base of everything that the domain raises."""


class IllegalTransition(DomainError):
    """Raised for a change that the status of the task does not allow."""

    def __init__(self, task_id: str, current: str, wanted: str) -> None:
        super().__init__(f"task {task_id} is {current} and cannot become {wanted}")
        self.current = current
        self.wanted = wanted


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with a request: the name of the field, as the domain spells it, and
    a message for people."""

    field: str
    message: str


class InvalidRequest(DomainError):
    """Raised for a request that breaks its bounds. Holds all faults, not only the first."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("; ".join(f"{fault.field}: {fault.message}" for fault in faults))
        self.faults = tuple(faults)


class MalformedTaskId(DomainError):
    """Raised for a task id that no task can have."""


class MalformedEventId(DomainError):
    """Raised for an event id that this service never sent."""


class IllegalLog(DomainError):
    """Raised by `fold` for a sequence of events that no task can have."""
