"""Times and durations as people and clients write them."""

import pytest

from entrypoints.times import duration_of, milliseconds_of


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2001-09-09T01:46:40Z", 10**12),
        ("2001-09-09t01:46:40.001z", 10**12 + 1),
        ("2001-09-09T03:46:40+02:00", 10**12),
        ("20010909T014640Z", 10**12),
        ("2001-09-09T01:46:40", None),
        ("2001-09-09", None),
        ("1000000000000", None),
        ("", None),
        ("soon", None),
        ("0001-01-01T00:00:00+14:00", -62135647200000),
        ("9999-12-31T23:59:59.999999-23:59", 253402387139999),
    ],
)
def test_a_time_needs_its_zone(text: str, time: int | None) -> None:
    assert milliseconds_of(text) == time


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0s", 0),
        ("90s", 90),
        ("10m", 600),
        ("2h", 7_200),
        ("7d", 604_800),
        ("4w", 4 * 604_800),
        ("-1", None),
        ("1.5h", None),
        ("1 h", None),
        ("h", None),
        ("1y", None),
        ("90", None),
        ("٣s", None),
        ("1" * 10 + "s", None),
    ],
)
def test_a_duration_is_a_number_with_a_unit(text: str, seconds: int | None) -> None:
    assert duration_of(text) == seconds
