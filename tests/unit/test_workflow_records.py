"""The bounds of runs of Upstash Workflow in the local QStash."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrypoints.local_qstash import workflow_records
from entrypoints.local_qstash.records import Records
from entrypoints.local_qstash.workflow_records import RunRecords

RUNS, BYTES = 3, 4_000
CHANGES = st.tuples(
    st.sampled_from(["step", "step", "step", "event", "used", "end"]),
    st.sampled_from("abcde"),
    st.integers(0, 1_500),
)


@given(st.lists(CHANGES, max_size=40))
def test_runs_keep_within_their_bounds_and_lose_the_oldest_first(
    changes: list[tuple[str, str, int]],
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workflow_records, "RUNS", RUNS)
        patch.setattr(workflow_records, "RUN_BYTES", BYTES)
        records = Records(None)
        runs = RunRecords(records)
        for number, each in enumerate(changes):
            before = list(runs.all())
            kept = _change(runs, number, *each)
            after = list(runs.all())
            run_id = each[1]
            others = [one for one in before if one != run_id]
            left = [one for one in after if one != run_id]
            assert left == others[len(others) - len(left) :], "the oldest are forgotten first"
            assert kept or left == others
            assert len(after) <= RUNS
            # Counted step by step, it is what a new process counts.
            again = RunRecords(records)
            assert {one: runs.size(one) for one in after} == {one: again.size(one) for one in after}
            assert sum(map(runs.size, after)) <= BYTES
            assert [runs.size(one) for one in "abcde" if one not in after] == [0] * (5 - len(after))
            if each[0] == "end":
                assert left == others, "an end forgets no other run"


def _change(runs: RunRecords, number: int, kind: str, run_id: str, size: int) -> bool:
    """Change a run, which begins if it is not there. Returns whether there was room."""
    changes = runs.changes(run_id)
    if kind == "end":
        changes.forget(run_id)
        changes.apply()
        return True
    if runs.get(run_id) is None:
        run: dict[str, Any] = {"created_at": 0, "url": "u", "settings": "s"}
        changes.begin(run)
    if kind == "step":
        changes.add_step(f"message {number}", {"body": "x" * size, "at": 0})
    elif kind == "event":
        changes.add_event("an event", "x" * size)
    else:
        changes.drop_event("an event")
    room = runs.make_room(changes)
    if room:
        changes.apply()
    return room
