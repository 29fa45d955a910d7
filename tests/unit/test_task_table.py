"""The table of `longtask tasks`, and the view of `--watch`, without a service."""

import io
import time
from typing import Any

import pytest
from rich.console import Console

from entrypoints.task_commands import watching
from entrypoints.task_commands.task_table import line_of, table_of
from entrypoints.task_commands.wanted import Wanted
from entrypoints.task_commands.watching import View


def summary(number: int, status: str = "running", **fields: Any) -> dict[str, Any]:
    return {"taskId": f"task_{number}", "status": status, "createdAt": number, **fields}


def console(width: int = 200, height: int = 10) -> Console:
    return Console(file=io.StringIO(), width=width, height=height, force_terminal=False)


def shown(view: View, *, last: bool = False) -> list[str]:
    out = console()
    out.print(view.drawn(last=last))
    assert isinstance(out.file, io.StringIO)
    return [each.rstrip() for each in out.file.getvalue().splitlines()]


def ids(view: View) -> list[str]:
    return [each.split()[0] for each in shown(view, last=True)[1:]]


def change(task: dict[str, Any]) -> dict[str, Any]:
    return {"type": "task", "taskId": task["taskId"], "task": task}


def test_what_is_not_known_is_empty() -> None:
    assert line_of({"taskId": "a", "status": "pending"}) == "a\tpending" + "\t" * 5
    odd = {"title": ["x"], "model": 1, "createdAt": "x", "startedAt": None, "usage": "x"}
    assert line_of({"taskId": "a", "status": "pending", **odd}) == "a\tpending" + "\t" * 5
    whole = summary(0, "completed", title="A\tB", model="m", startedAt=0, finishedAt=61_500)
    usage = {"totalTokens": 7, "estimated": True}
    assert line_of({**whole, "usage": usage}).split("\t")[2:] == [
        r"A\x09B", "m", "1970-01-01T00:00:00Z", "61.5", "7",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (59.9, "59s"), (61, "1m01s"), (7_500, "2h05m"), (90_000, "1d01h")],
)
def test_durations_are_short(seconds: float, text: str) -> None:
    task = summary(0, "completed", startedAt=0, finishedAt=int(seconds * 1_000))
    out = console()
    out.print(table_of([task], out.width))
    assert isinstance(out.file, io.StringIO)
    assert text in out.file.getvalue().split()


def test_a_task_that_is_delayed_says_for_how_long() -> None:
    now = round(time.time() * 1_000)
    for status, due, said in (
        ("pending", now + 7_530_000, True),
        ("pending", now - 1, False),
        ("cancelled", now + 7_530_000, False),
    ):
        out = console()
        out.print(table_of([summary(0, status, notBefore=due)], out.width))
        assert isinstance(out.file, io.StringIO)
        assert ("in 2h05m" in out.file.getvalue()) == said


def test_a_narrow_terminal_has_the_whole_id() -> None:
    task = summary(10**36, title="A long title that does not fit", model="m")
    for width, columns in ((58, 2), (64, 3), (80, 4), (200, 7)):
        out = console(width)
        out.print(table_of([task], width))
        assert isinstance(out.file, io.StringIO)
        head, row = out.file.getvalue().splitlines()
        assert len(head.split()) == columns
        assert row.startswith(task["taskId"])


def test_a_connection_drops_what_was_deleted_without_one() -> None:
    view = View(Wanted(), console(), None)
    view.begin([summary(2), summary(1)])
    view.take(change(summary(3)))
    view.take({"type": "deleted", "taskId": "task_1"})
    view.take({"type": "reached"})
    assert ids(view) == ["task_3", "task_2"]
    view.note("connection lost")
    assert shown(view)[-1] == "connection lost"
    view.begin([summary(3)])
    assert ids(view) == ["task_3"]
    assert shown(view)[-1] == "Ctrl-C ends this view"


def test_what_matches_no_more_leaves_the_view() -> None:
    wanted = Wanted(frozenset({"running"}), "m", {"a": "1"}, 2)
    view = View(wanted, console(), None)
    view.begin([])
    good: dict[str, Any] = {"model": "n", "requestedModel": "m", "metadata": {"a": "1", "b": "2"}}
    for task in (
        summary(2, **good),
        summary(3, **{**good, "metadata": {}}),
        summary(4, **{**good, "requestedModel": "n"}),
        summary(5, "completed", **good),
        summary(1, **good),
    ):
        view.take(change(task))
    assert ids(view) == ["task_2"]
    view.take(change(summary(2, "completed", **good)))
    assert shown(view, last=True) == ["no tasks match"]


def test_a_view_keeps_the_newest_and_all_unfinished(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "KEPT", 10)
    view = View(Wanted(), console(height=8), None)
    view.begin([summary(0)])
    for number in range(1, 101):
        view.take(change(summary(number, "completed")))
    lines = shown(view, last=True)
    assert [each.split()[0] for each in lines[1:-1]] == [f"task_{n}" for n in range(100, 95, -1)]
    assert lines[-1] == "1 more unfinished"
    assert len(view) <= 30


def test_costs_are_shown_where_there_are_any_and_there_is_room() -> None:
    free = summary(1, "completed")
    priced = {
        **summary(2, "completed"),
        "cost": {"amount": 0.00456, "currency": "USD", "estimated": True},
    }

    def text(width: int, *tasks: dict[str, Any]) -> str:
        out = console(width)
        out.print(table_of(tasks, width))
        assert isinstance(out.file, io.StringIO)
        return out.file.getvalue()

    assert "~0.0046 USD" in text(140, free, priced)
    assert "COST" not in text(140, free)
    assert "COST" not in text(139, priced)
