"""What `make bench` says of figures that differ from the accepted ones."""

import json

from benchmarks.dearer import verdict
from benchmarks.instruction_cost import ACCEPTED, COUNTED, names


def test_nothing_is_said_of_what_runs_of_the_same_differ_by() -> None:
    accepted = {"token": 1_000, "start": 2_000}
    assert not list(verdict({"token": 1_030, "start": 1_940}, accepted))


def test_what_is_dearer_is_named_with_both_figures() -> None:
    assert list(verdict({"token": 1_031, "start": 2_000}, {"token": 1_000, "start": 2_000})) == [
        "DEARER   token: 1,000 -> 1,031 (+3.1%)"
    ]


def test_what_is_cheaper_is_named_too_since_it_would_hide_the_next_rise() -> None:
    assert list(verdict({"token": 90_000}, {"token": 100_000})) == [
        "cheaper  token: 100,000 -> 90,000 (-10.0%)"
    ]


def test_a_figure_that_none_was_accepted_for_is_named() -> None:
    assert list(verdict({"token": 1_031}, {})) == ["NEW      token: 1,031"]


def test_every_figure_has_an_accepted_one() -> None:
    assert set(json.loads(ACCEPTED.read_text())) == {
        name for store in COUNTED for name in names(store)
    }
