"""What a soak says of its samples (benchmarks/soak): what grows, and the picture of it."""

import random
from xml.etree import ElementTree

import pytest
from benchmarks.soak.plot import ROWS, picture, top_of
from benchmarks.soak.trend import trend

SECONDS = range(0, 1_800, 10)


@pytest.mark.parametrize(
    ("per_hour", "scatter", "flat"),
    [
        (0, 0, True),
        (0, 30_000, True),  # half of it is noise
        (-20_000, 1_000, True),
        (1_000, 500, True),  # less than a hundredth in the half hour
        (3_000, 500, False),
        (20_000, 1_000, False),
        (100_000, 30_000, False),
    ],
)
def test_a_figure_is_flat_unless_it_grows_by_more_than_it_scatters(
    per_hour: float, scatter: float, flat: bool
) -> None:
    noise = random.Random(1)
    values = [100_000 + per_hour * at / 3_600 + noise.uniform(-scatter, scatter) for at in SECONDS]
    found = trend(SECONDS, values, least=100)
    assert found.flat is flat
    assert found.per_hour == pytest.approx(per_hour, abs=max(1.0, scatter / 2))
    assert str(found).startswith("flat" if flat else "grows")


def test_the_picture_has_a_line_for_each_figure_and_store() -> None:
    names = [name for _, name, _ in ROWS]
    samples = [{"seconds": at, **dict.fromkeys(names, 7 * at)} for at in SECONDS]
    soaks = [{"store": store, "samples": samples} for store in ("memory", "file")]
    svg = ElementTree.fromstring(picture(soaks, ROWS))  # noqa: S314
    lines = svg.findall("{*}polyline")
    assert len(lines) == 2 * len(ROWS)
    assert all(len(line.attrib["points"].split()) == len(samples) for line in lines)
    assert {"memory", "file", "30 min"} <= {text.text for text in svg.findall("{*}text")}


@pytest.mark.parametrize(("largest", "top"), [(0, 1), (7, 8), (99, 100), (101, 200), (0.3, 0.3)])
def test_an_axis_ends_at_a_round_number(largest: float, top: float) -> None:
    assert top_of(largest) == pytest.approx(top)
