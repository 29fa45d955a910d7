"""The entries of an owner's index on Redis: what they rule out, and the order of their members."""

from dataclasses import replace

from hypothesis import example, given
from hypothesis import strategies as st

from adapters.redis.index_entry import Sieve, entry_of, member_of, members_between, read_member
from application.ports import Entry
from domain.events import TaskStatus
from domain.request import TaskRequest
from domain.task import Task
from domain.task_filter import TaskFilter

WORDS = st.sampled_from(["", "a", "b", "a\0b", "a b", "-", "\ud800", "\U0001f600"])
PAIRS = st.dictionaries(WORDS, WORDS, max_size=3)
TIMES = st.integers(min_value=-5, max_value=10**15 + 5)
ENTRIES = st.builds(
    Entry,
    st.integers(min_value=0, max_value=10**15 - 1),
    st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,5}", fullmatch=True),
)


@st.composite
def tasks(draw: st.DrawFn) -> Task:
    task = Task.submit("t", TaskRequest(model="m", prompt="Hi."), 1).task
    return replace(
        task,
        status=draw(st.sampled_from(TaskStatus)),
        requested_model=draw(WORDS),
        model=draw(st.none() | WORDS),
        metadata=draw(PAIRS),
    )


@st.composite
def filters(draw: st.DrawFn) -> TaskFilter:
    statuses = draw(st.frozensets(st.sampled_from(TaskStatus), max_size=3))
    return TaskFilter(statuses, draw(st.none() | WORDS), draw(PAIRS))


@given(tasks(), filters())
def test_an_entry_rules_out_what_does_not_match_and_nothing_else(
    task: Task, wanted: TaskFilter
) -> None:
    sieve = Sieve(wanted)
    if task.status.terminal:
        assert sieve.may_match(entry_of(task, ended=True).encode()) == wanted.matches(task)
    before = replace(task, status=TaskStatus.PENDING, model=None)
    not_noted = entry_of(before, ended=False).encode()
    assert sieve.may_match(not_noted) or not wanted.matches(task)
    assert not sieve.may_match(b""), "it has expired"


def test_an_entry_is_short_whatever_a_client_sends() -> None:
    metadata = {f"{number:064}": "x" * 512 for number in range(16)}
    request = TaskRequest(model="m" * 500, prompt="Hi.", metadata=metadata)
    assert len(entry_of(Task.submit("t", request, 1).task, ended=False)) < 200


@example([Entry(10**15 - 1, "0")], None, None, 10**15)
@example([Entry(10**15 - 1, "0")], None, 10**15 - 1, None)
@given(st.lists(ENTRIES, unique=True), st.none() | ENTRIES, st.none() | TIMES, st.none() | TIMES)
def test_members_have_the_order_of_entries_and_a_range_is_what_is_wanted(
    entries: list[Entry], after: Entry | None, newer: int | None, older: int | None
) -> None:
    members = sorted(map(member_of, entries))
    assert [read_member(each.encode()) for each in members] == sorted(entries)
    highest, lowest = members_between(TaskFilter(created_after=newer, created_before=older), after)
    found = [
        read_member(each.encode())
        for each in members
        if (highest == "+" or each < highest.removeprefix("("))
        and (lowest == "-" or each >= lowest.removeprefix("["))
    ]
    assert found == [
        each
        for each in sorted(entries)
        if (after is None or each < after)
        and (newer is None or each.created_at > newer)
        and (older is None or each.created_at < older)
    ]
