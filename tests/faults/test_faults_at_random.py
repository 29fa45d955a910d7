"""A short run of what `make faults` does for as long as one likes. The seed is a new one every
time, and told when something is found."""

import random
from pathlib import Path

import pytest

from tests.faults.run import run


@pytest.mark.soak
def test_the_promises_hold_while_everything_breaks(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(10**6)
    totals = run(tmp_path, seed, seconds=20.0, rounds=1)
    report = "\n".join(totals.lines())
    assert not totals.violations, report
    assert totals.tasks["completed"] > 0, report
    assert totals.faults.total() > 5, report
