"""Short runs of what `make faults` does for as long as one likes. The seed is a new one every time,
and told when something is found."""

import random
from pathlib import Path

import pytest

from tests.faults.run import run


@pytest.mark.soak
@pytest.mark.parametrize(
    ("store", "model", "seconds"),
    [
        ("file", None, 30.0),
        ("redis", None, 20.0),
        ("file", "keeping", 20.0),
        ("redis", "keeping", 20.0),
    ],
)
def test_the_promises_hold_while_everything_breaks(
    tmp_path: Path, store: str, model: str | None, seconds: float
) -> None:
    """Without a `model` the seed chooses one."""
    seed = random.SystemRandom().randrange(10**6)
    totals = run(tmp_path, store, seed, seconds, rounds=1, model=model)
    report = "\n".join(totals.lines())
    assert not totals.violations, report
    assert totals.tasks["completed"] > 0, report
    assert totals.faults.total() > seconds / 4, report
