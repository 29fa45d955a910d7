"""The sizes at which a test that takes minutes is run."""

from collections.abc import Iterable

import pytest
from _pytest.mark import ParameterSet


def sizes(dose: object, full: object) -> list[ParameterSet]:
    """Parameters of a test: a small dose for every run, and its full size under the marker `soak`,
    which `make test` leaves to `make test-all`."""
    return [
        pytest.param(*_values(dose), id="small dose"),
        pytest.param(*_values(full), id="full size", marks=pytest.mark.soak),
    ]


def some_of(names: Iterable[str], every: int = 3) -> list[ParameterSet]:
    """Parameters of a test: every third (or so) of many alike for every run, the rest under
    `soak`."""
    return [
        pytest.param(name, marks=() if index % every == 0 else pytest.mark.soak)
        for index, name in enumerate(names)
    ]


def _values(size: object) -> tuple[object, ...]:
    return size if isinstance(size, tuple) else (size,)
