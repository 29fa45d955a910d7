"""When a task may begin, and by when it must have ended: the bounds of the times of a request."""

from collections.abc import Iterator

from domain.errors import Fault

DELAY_LIMIT = 7 * 86_400
"""Seconds by which a task may be delayed, unless the settings say otherwise."""
DEADLINE_LIMIT = 7 * 86_400
"""Seconds from its acceptance on within which a task may have a deadline. QStash's free plan delays
no message for longer, and the guard of a deadline is one."""


def time_faults(
    delay: int | None,
    not_before: int | None,
    deadline: int | None,
    max_delay: int,
    now: int | None,
) -> Iterator[Fault]:
    """Yield what is out of bounds. `delay`, `deadline` and `max_delay` are in seconds. `now`: when
    the request is accepted, as `not_before` in milliseconds since the Unix epoch; None: how far
    away `not_before` is does not matter."""
    if delay is not None and not 0 <= delay <= max_delay:
        yield Fault("delay", f"must be from 0 to {max_delay}")
    if delay is not None and not_before is not None:
        yield Fault("not_before", "must not be given together with a delay")
    elif now is not None and (not_before or 0) - now > 1000 * max_delay:
        yield Fault("not_before", f"must be at most {max_delay} seconds from now")
    if deadline is None:
        return
    if not 1 <= deadline <= DEADLINE_LIMIT:
        yield Fault("deadline", f"must be from 1 to {DEADLINE_LIMIT}")
        return
    begins = 1000 * (delay or 0)
    if not_before is not None and now is not None:
        begins = not_before - now
    if begins >= 1000 * deadline:
        yield Fault("deadline", "must be later than the time at which the task may begin")
