"""Cron expressions as QStash has them: five fields, in UTC or in the time zone that stands before
them (`CRON_TZ=Europe/Paris 30 9 * * MON-FRI`).

QStash reads them with Go's robfig/cron, as its error messages show, and so the rules are that
library's: an expression names each minute whose local time it matches. A local time that the clocks
skip is not named, and one that they show twice is named twice.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from entrypoints.local_qstash.refusals import BadMessage

LONGEST = 1_000
"""Characters of an expression."""

_ZONE = re.compile(r"(?:CRON_)?TZ=(\S*)\s+")
_NAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_RANGES = ("0-59", "0-23", "1-31", "1-12", "0-6")
_DAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]
_MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
_NUMBERS = dict(zip([*_DAYS, *_MONTHS], [*range(7), *range(1, 13)], strict=True))
_VALUE = r"(?:\d{1,2}|[A-Z]{3})"
_ITEM = re.compile(rf"([*?]|{_VALUE}(?:-{_VALUE})?)(/(?!0+$)\d{{1,2}})?", re.ASCII)
_BACK = timedelta(hours=3)
"""No clocks are set back by more than that."""


def next_time(cron: str, after: int) -> int:
    """Return the first time that the expression names after `after`, both in milliseconds since the
    Unix epoch. Raises BadMessage if it is no expression, or names none in the next 50 years."""
    fields, zone = _read(cron)
    now = datetime.fromtimestamp(after // 1000, UTC)
    here, soon = now.astimezone(zone), (now + _BACK).astimezone(zone)
    # Where the clocks are set back soon, they show again what they have shown.
    back = max(_offset(here) - _offset(soon), timedelta())
    found: datetime | None = None
    try:
        for local in CronSim(fields, here.replace(tzinfo=None, fold=0) - back):
            times = [each for each in _times_of(local, zone) if each > now]
            found = min(times if found is None else [found, *times], default=None)
            if found is not None and found <= local.replace(tzinfo=zone).astimezone(UTC):
                return int(found.timestamp() * 1000)
    except CronSimError as error:
        raise _bad(cron, str(error)) from None
    raise _bad(cron, "it never occurs")


def _read(cron: str) -> tuple[str, tzinfo]:
    """Return the fields in the form that CronSim reads, and the zone."""
    if len(cron) > LONGEST:
        raise BadMessage(f"a cron expression has at most {LONGEST} characters")
    given = cron.strip()
    zone: tzinfo = UTC
    if (found := _ZONE.match(given)) is not None:
        given, zone = given[found.end() :], _zone(cron, found[1])
    fields = _NAMES.get(given, given).upper().split()
    if len(fields) != len(_RANGES):
        raise _bad(cron, f"it has {len(fields)} fields instead of 5")
    return " ".join(_field(cron, *each) for each in zip(fields, _RANGES, strict=True)), zone


def _zone(cron: str, name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError):
        raise _bad(cron, f"there is no time zone {name!r}") from None


def _field(cron: str, field: str, whole: str) -> str:
    """Return the field as CronSim is to read it. If day of month or day of week allows all values,
    only the other one decides, which CronSim sees by a star at the beginning; here a star with a
    step does not allow all."""
    items = field.split(",")
    if not all(map(_ITEM.fullmatch, items)):
        raise _bad(cron, f"it has no field {field!r}")
    if not {"*", "?", "*/1", "?/1"}.isdisjoint(items):
        return "*"
    return ",".join(_item(re.sub(r"^[*?]", whole, each), whole) for each in items)


def _item(item: str, whole: str) -> str:
    """Return a part of a field as CronSim is to read it: `2/3` goes up to the last value, for
    CronSim up to day of week 7, which is Sunday once more. And `5-5/2` is 5 alone, for CronSim each
    second value from 5 on."""
    span, _, step = item.partition("/")
    first, _, last = span.partition("-")
    if not step:
        return item
    last = last or whole.partition("-")[2]
    return first if _number(first) == _number(last) else f"{first}-{last}/{step}"


def _number(value: str) -> int:
    return _NUMBERS[value] if value in _NUMBERS else int(value) if value.isdigit() else -1


def _times_of(local: datetime, zone: tzinfo) -> Iterator[datetime]:
    """Return when the clocks of the zone show this time: never, once or twice."""
    for fold in (0, 1):
        time = local.replace(tzinfo=zone, fold=fold).astimezone(UTC)
        if time.astimezone(zone).replace(tzinfo=None, fold=0) == local:
            yield time


def _offset(time: datetime) -> timedelta:
    return time.utcoffset() or timedelta()


def _bad(cron: str, why: str) -> BadMessage:
    return BadMessage(f"invalid cron expression {cron!r}: {why}")
