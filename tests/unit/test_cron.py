"""Cron expressions of schedules, against a second reading of them that looks at every minute."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrypoints.local_qstash.cron import next_time
from entrypoints.local_qstash.refusals import BadMessage

CHANGES = {
    "America/New_York": ["2026-03-08T07:00", "2026-11-01T06:00"],
    "Australia/Lord_Howe": ["2026-04-04T15:00", "2026-10-03T15:30"],  # by half an hour
    "Antarctica/Troll": ["2026-03-29T01:00", "2026-10-25T01:00"],  # by two hours
    "America/Havana": ["2026-03-08T05:00", "2026-11-01T05:00"],  # at midnight and behind it
    "America/Sao_Paulo": ["2018-02-18T02:00", "2018-11-04T03:00"],  # both at midnight
    "Pacific/Apia": ["2011-12-30T10:00"],  # a whole day
    "Asia/Kathmandu": ["2026-07-01T00:00"],  # never, and 5:45 from UTC
}
"""Times in UTC at which clocks change, by zone."""
RANGES = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 6)]


def _every_time(fields: str, zone: ZoneInfo, begin: datetime, end: datetime) -> list[datetime]:
    """Return each minute behind `begin` whose local time the fields match, up to `end`."""
    wanted = []
    for field, (low, high) in zip(fields.split(), RANGES, strict=True):
        values: set[int] = set()
        for item in field.split(","):
            span, _, step = item.partition("/")
            first, _, last = span.partition("-")
            least = low if span == "*" else int(first)
            most = high if span == "*" or (step and not last) else int(last or first)
            values |= set(range(least, most + 1, int(step or 1)))
        wanted.append(values)
    minute, hour, day, month, weekday = wanted
    free = [{"*", "*/1"} & set(fields.split()[at].split(",")) for at in (2, 4)]

    def named(local: datetime) -> bool:
        in_day, in_weekday = local.day in day, local.isoweekday() % 7 in weekday
        return (
            local.minute in minute
            and local.hour in hour
            and local.month in month
            and (in_day and in_weekday if any(free) else in_day or in_weekday)
        )

    minutes = int((end - begin).total_seconds() // 60)
    times = (begin + timedelta(minutes=each) for each in range(1, minutes + 1))
    return [each for each in times if named(each.astimezone(zone))]


def _next(cron: str, after: datetime) -> datetime:
    return datetime.fromtimestamp(next_time(cron, int(after.timestamp() * 1000)) / 1000, UTC)


@st.composite
def _field(draw: st.DrawFn, low: int, high: int) -> str:
    first = draw(st.integers(low, high))
    last = draw(st.integers(first, high))
    item = draw(st.sampled_from(["*", "*", f"{first}", f"{first}", f"{first}-{last}"]))
    return item + draw(st.sampled_from(["", "", "/1", f"/{draw(st.integers(2, high))}"]))


@st.composite
def _fields(draw: st.DrawFn) -> str:
    fields = []
    for low, high in RANGES:
        # Mostly at night, when clocks change, and on any day: else few times would be near.
        top = {23: 4, 31: 8}.get(high, high)
        several = draw(st.lists(_field(low, top), min_size=1, max_size=2))
        fields.append("*" if high == 12 else ",".join(several))
    return " ".join(fields)


@given(st.data(), st.sampled_from(sorted(CHANGES)), _fields())
def test_each_minute_whose_local_time_matches_is_named(
    data: st.DataObject, zone: str, fields: str
) -> None:
    change = datetime.fromisoformat(data.draw(st.sampled_from(CHANGES[zone]))).replace(tzinfo=UTC)
    begin = change - timedelta(minutes=data.draw(st.integers(0, 400)))
    end = change + timedelta(hours=6)
    expected = _every_time(fields, ZoneInfo(zone), begin, end)[:50]
    cron = f"CRON_TZ={zone} {fields}"
    assert [_next(cron, after) for after in [begin, *expected[:-1]]][: len(expected)] == expected
    assert expected or _next(cron, begin) > end


@pytest.mark.parametrize(
    ("cron", "after", "then"),
    [
        ("30 9 * * MON-FRI", "2026-11-27T09:30", "2026-11-30T09:30"),
        ("CRON_TZ=Europe/Paris 30 9 * * *", "2026-07-01T00:00", "2026-07-01T07:30"),
        ("TZ=Asia/Tokyo   @daily", "2026-07-01T00:00", "2026-07-01T15:00"),
        ("@hourly", "2026-07-01T00:00:00.999", "2026-07-01T01:00"),
        ("@weekly", "2026-11-30T00:00", "2026-12-06T00:00"),
        ("0 0 29 2 ?", "2026-01-01T00:00", "2028-02-29T00:00"),
        ("0 0 */2 * 1", "2026-11-29T00:00", "2026-11-30T00:00"),  # either day
        ("0 0 */2 * *", "2026-11-30T00:00", "2026-12-01T00:00"),
        # The last Saturday of November 2026 is the 28th.
        ("0 0 * * 6/1", "2026-11-28T00:00", "2026-12-05T00:00"),
        ("0 0 * * SAT/1", "2026-11-28T00:00", "2026-12-05T00:00"),
        ("0 0 * * FRI-5/2", "2026-11-27T00:00", "2026-12-04T00:00"),
        ("5-05/2 * * * *", "2026-11-30T00:05", "2026-11-30T01:05"),
        # New York's clocks skip 2:30 on 8 March 2026, and show 1:30 twice on 1 November.
        ("CRON_TZ=America/New_York 30 2 * * *", "2026-03-07T08:00", "2026-03-09T06:30"),
        ("CRON_TZ=America/New_York 30 1 * * *", "2026-11-01T05:30", "2026-11-01T06:30"),
    ],
)
def test_what_is_named_next(cron: str, after: str, then: str) -> None:
    begin, end = (datetime.fromisoformat(each).replace(tzinfo=UTC) for each in (after, then))
    assert _next(cron, begin) == end


@pytest.mark.parametrize(
    ("cron", "why"),
    [
        ("", "0 fields"),
        ("* * * * * *", "6 fields"),
        ("@every 1h", "2 fields"),
        ("60 * * * *", "minute"),
        ("* 24 * * *", "hour"),
        ("*/0 * * * *", "'*/0'"),
        ("5-1 * * * *", "minute"),
        ("0 0 30 2 *", "day"),
        ("0 0 L * *", "'L'"),
        ("0 0 * * MON#1", "'MON#1'"),
        ("0 0 * JANUARY *", "'JANUARY'"),
        ("CRON_TZ=Europe/Atlantis * * * * *", "no time zone 'Europe/Atlantis'"),
        ("CRON_TZ=Europe * * * * *", "no time zone 'Europe'"),
        ("CRON_TZ=../../etc/passwd * * * * *", "no time zone"),
        ("CRON_TZ= * * * * *", "no time zone"),
        ("1," * 600 + "1 * * * *", "at most 1000 characters"),
    ],
)
def test_what_is_no_expression_is_refused(cron: str, why: str) -> None:
    with pytest.raises(BadMessage, match="cron expression") as refused:
        next_time(cron, 0)
    assert why in str(refused.value)
