"""Why tasks fail."""

from dataclasses import dataclass

MAX_INTERRUPTIONS = 10
"""Attempts in a row that a stop or a restart of the service may end. One more fails the task, which
may be what ends the process each time."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a task failed."""

    code: str
    """For programs."""
    message: str
    """For people."""
    retryable: bool
    """Whether the same request may succeed as a new task."""


CONTINUATION_LOST = "continuation_lost"
"""Why an attempt that was to go on with an answer begins anew: its upstream has forgotten it."""
RESTARTED_TOO_OFTEN = Failure(
    "restarted_too_often",
    f"The service was stopped or restarted during {MAX_INTERRUPTIONS + 1} attempts in a row.",
    True,
)
DEADLINE_EXCEEDED = Failure(
    "deadline_exceeded", "The task did not finish before its deadline.", True
)
