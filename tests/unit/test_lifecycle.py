"""The lifecycle as a machine: no sequence of commands reaches a forbidden state, and the fold of
any legal log gives the answer of its end, also where attempts are resumed."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from domain.answer import Answer, ToolCall
from domain.errors import IllegalLog, IllegalTransition, MalformedEventId
from domain.events import (
    ContentAdded,
    Event,
    ItemAdded,
    ReasoningAdded,
    StatusChanged,
    TaskEnded,
    TaskErrored,
    TaskStatus,
    ToolCallAdded,
    answer_of,
    fold,
    is_last,
)
from domain.failure import MAX_INTERRUPTIONS, RESTARTED_TOO_OFTEN, Failure
from domain.position import Position
from domain.task import Change, Task
from tests.builders import REQUEST

WORDS = st.text(min_size=1, max_size=5)
FAILURE = Failure("model_error", "It failed.", True)

# The lifecycle as the design draws it, written down a second time on purpose.
ALLOWED = {
    ("pending", "running"),
    ("pending", "cancelled"),
    ("pending", "failed"),
    ("running", "pending"),
    ("running", "completed"),
    ("running", "failed"),
    ("running", "cancelled"),
}


class Lifecycle(RuleBasedStateMachine):
    """Every command at every moment: it is carried out or refused, and the log stays legal."""

    @initialize()
    def submit(self) -> None:
        self.now = 1
        change = Task.submit("task_1_a", REQUEST, self.now)
        self.task = change.task
        self.log: list[Event] = list(change.events)
        self._forget()

    def _forget(self) -> None:
        self.text = self.refusal = self.reasoning = ""
        self.calls: dict[int, ToolCall] = {}
        self.annotations: tuple[dict[str, str], ...] = ()
        self.items: tuple[dict[str, int], ...] = ()

    @property
    def answer(self) -> Answer:
        calls = tuple(self.calls[index] for index in sorted(self.calls))
        return Answer(self.text, self.refusal, self.reasoning, calls, self.annotations, self.items)

    def _try(self, wanted: TaskStatus, change: Change | None) -> None:
        legal = (self.task.status.value, wanted.value) in ALLOWED
        assert (change is not None) == legal
        if change is not None:
            assert change.task.status is wanted
            self.task = change.task
            self.log.extend(change.events)

    def _attempt(self, wanted: TaskStatus) -> Change | None:
        self.now += 1
        try:
            match wanted:
                case TaskStatus.RUNNING:
                    return self.task.begin(self.now)
                case TaskStatus.PENDING:
                    return self.task.requeue(self.now, "lost")
                case TaskStatus.COMPLETED:
                    return self.task.complete(
                        self.now,
                        answer=self.answer,
                        finish_reason="stop",
                        model="m",
                        usage=None,
                    )
                case TaskStatus.CANCELLED:
                    return self.task.cancel(self.now, self.answer)
                case TaskStatus.FAILED:
                    return self.task.fail(self.now, FAILURE)
        except IllegalTransition as refusal:
            assert (refusal.current, refusal.wanted) == (self.task.status, wanted)  # noqa: PT017
            return None

    @rule(wanted=st.sampled_from(TaskStatus), resumed=st.booleans())
    def command(self, wanted: TaskStatus, resumed: bool) -> None:
        before = self.task
        self._try(wanted, self._attempt(wanted))
        if self.task is before or wanted is not TaskStatus.RUNNING:
            assert self.task.attempt == before.attempt
            return
        assert self.task.attempt == before.attempt + 1
        last = self.log[-1]
        assert isinstance(last, StatusChanged)
        if resumed and before.attempt > 0:  # nothing of ours writes it yet
            self.log[-1] = replace(last, resumed=True)
        else:
            self._forget()

    @precondition(lambda self: self.task.status is TaskStatus.RUNNING)
    @rule(text=WORDS, refusal=st.booleans(), noted=st.booleans())
    def content(self, text: str, refusal: bool, noted: bool) -> None:
        annotations = ({"type": "url_citation"},) if noted else ()
        self.log.append(ContentAdded(self.now, text, refusal, annotations))
        self.text += text
        self.refusal += text if refusal else ""
        self.annotations += annotations

    @precondition(lambda self: self.task.status is TaskStatus.RUNNING)
    @rule(text=WORDS)
    def reasoning_(self, text: str) -> None:
        self.log.append(ReasoningAdded(self.now, text))
        self.reasoning += text

    @precondition(lambda self: self.task.status is TaskStatus.RUNNING)
    @rule(n=st.integers(0, 3))
    def item(self, n: int) -> None:
        self.log.append(ItemAdded(self.now, {"n": n}))
        self.items += ({"n": n},)

    @precondition(lambda self: self.task.status is TaskStatus.RUNNING)
    @rule(index=st.integers(0, 3), arguments=WORDS)
    def tool_call(self, index: int, arguments: str) -> None:
        known = self.calls.get(index)
        if known is None:
            self.log.append(ToolCallAdded(self.now, index, arguments, f"call_{index}", "look_up"))
            self.calls[index] = ToolCall(index, f"call_{index}", "look_up", arguments)
        else:
            self.log.append(ToolCallAdded(self.now, index, arguments))
            self.calls[index] = replace(known, arguments=known.arguments + arguments)

    @invariant()
    def the_log_tells_what_the_record_says(self) -> None:
        folded = fold(self.log)
        assert folded.status is self.task.status
        assert folded.attempt == self.task.attempt
        assert folded.answer == self.answer == answer_of(self.log)
        assert folded.closed == self.task.status.terminal

    @invariant()
    def one_end_and_nothing_behind_it(self) -> None:
        ends = [number for number, event in enumerate(self.log) if is_last(event)]
        assert ends in ([], [len(self.log) - 1])
        last = self.log[-1]
        if isinstance(last, TaskEnded):
            assert last.answer == self.answer
        assert (self.task.failure is not None) == isinstance(last, TaskErrored)

    @invariant()
    def only_allowed_steps_were_taken(self) -> None:
        statuses = [each.status.value for each in self.log if isinstance(each, StatusChanged)]
        assert statuses[0] == "pending"
        assert set(pairwise(statuses)) <= ALLOWED


TestLifecycle = Lifecycle.TestCase


PENDING = StatusChanged(1, TaskStatus.PENDING, 0)
RUNNING = StatusChanged(2, TaskStatus.RUNNING, 1)
COMPLETED = StatusChanged(3, TaskStatus.COMPLETED, 1)
END = TaskEnded(3, Answer(), "stop", "m")


@pytest.mark.parametrize(
    "log",
    [
        [],
        [RUNNING],
        [PENDING, PENDING],
        [PENDING, ContentAdded(1, "early")],
        [PENDING, COMPLETED],
        [PENDING, StatusChanged(2, TaskStatus.RUNNING, 2)],
        [PENDING, StatusChanged(2, TaskStatus.RUNNING, 1, resumed=True)],
        [PENDING, ReasoningAdded(1, "early")],
        [PENDING, ItemAdded(1, {})],
        [PENDING, ToolCallAdded(1, 0, "{}", "call_1", "look_up")],
        [PENDING, RUNNING, ReasoningAdded(2, "x"), COMPLETED, END],
        [PENDING, RUNNING, ToolCallAdded(2, 0, "{}", "call_1", "f"), COMPLETED, END],
        [PENDING, RUNNING, RUNNING],
        [PENDING, RUNNING, END],
        [PENDING, RUNNING, COMPLETED, TaskErrored(3, "m", "c", True)],
        [PENDING, RUNNING, ContentAdded(2, "x"), COMPLETED, END],
        [PENDING, RUNNING, COMPLETED, ContentAdded(3, "late")],
        [PENDING, RUNNING, COMPLETED, END, END],
        [PENDING, RUNNING, COMPLETED, END, ContentAdded(4, "late")],
        [PENDING, StatusChanged(2, TaskStatus.CANCELLED, 1)],
    ],
)
def test_a_log_that_breaks_a_rule_is_refused(log: list[Event]) -> None:
    with pytest.raises(IllegalLog):
        fold(log)


def test_times_of_a_task() -> None:
    task = Task.submit("task_1_a", REQUEST, 10).task.begin(20).task
    assert (task.created_at, task.started_at, task.finished_at) == (10, 20, None)
    second = task.requeue(30, "lost").task.begin(40).task
    assert second.started_at == 20
    assert second.fail(50, FAILURE).task.finished_at == 50


def interrupted(task: Task, times: int) -> Task:
    """A task of which so many attempts began and were ended by a restart of the service."""
    for _ in range(times):
        task = task.begin(1).task.requeue(1, "restarted", counted=False).task
    return task


def test_attempts_that_a_restart_ended_do_not_count() -> None:
    task = interrupted(Task.submit("task_1_a", REQUEST, 1).task, 3).begin(2).task
    assert (task.attempt, task.counted_attempts) == (4, 1)
    task = interrupted(task.requeue(3, "model_error").task, 2)
    assert (task.status, task.attempt, task.counted_attempts) == (TaskStatus.PENDING, 6, 1)


def test_too_many_restarts_in_a_row_fail_the_task() -> None:
    task = interrupted(Task.submit("task_1_a", REQUEST, 1).task, MAX_INTERRUPTIONS).begin(2).task
    # One that is lost in another way begins a new row.
    other = interrupted(task.requeue(3, "model_error").task, MAX_INTERRUPTIONS)
    assert other.status is TaskStatus.PENDING
    last = task.requeue(3, "restarted", counted=False)
    assert (last.task.status, last.task.failure) == (TaskStatus.FAILED, RESTARTED_TOO_OFTEN)
    assert last.events[-1] == TaskErrored(
        3, RESTARTED_TOO_OFTEN.message, "restarted_too_often", retryable=True
    )


@given(st.from_regex(r"[A-Za-z0-9]{1,64}", fullmatch=True), st.integers(0, 10**18 - 1))
def test_an_event_id_is_read_as_it_was_written(epoch: str, sequence: int) -> None:
    assert Position.parse(str(Position(epoch, sequence))) == Position(epoch, sequence)


@given(st.text())
def test_no_text_breaks_the_reading_of_event_ids(text: str) -> None:
    try:
        parsed = Position.parse(text)
    except MalformedEventId:
        return
    assert parsed.epoch.isalnum()
    assert str(parsed) == text or text.rpartition("-")[2].startswith("0")
