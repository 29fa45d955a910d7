"""Times and durations as people and clients write them."""

import re
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DURATION = re.compile(r"([0-9]{1,9})([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
EARLIEST_MILLISECONDS = 10**12
"""A time since 1970 in seconds is less than this, one in milliseconds more, since 2001."""


def milliseconds_of(text: str) -> int | None:
    """Return a time of ISO 8601 with its zone, such as 2026-11-29T17:46:54Z, as milliseconds since
    1970. None: the text is none."""
    try:
        time = datetime.fromisoformat(text.upper())
    except ValueError:
        return None
    return None if time.tzinfo is None else (time - _EPOCH) // timedelta(milliseconds=1)


def duration_of(text: str) -> int | None:
    """Return the seconds of a duration such as 90s, 10m, 2h, 7d or 4w. None: the text is none."""
    found = _DURATION.fullmatch(text)
    return None if found is None else int(found[1]) * _SECONDS[found[2]]
