"""Schedules on a clock of the test: what is published when, whatever happens meanwhile."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from entrypoints.local_qstash.cron import next_time
from entrypoints.local_qstash.message import QueuedMessage
from entrypoints.local_qstash.records import Records
from entrypoints.local_qstash.refusals import QueueFull, Refused
from entrypoints.local_qstash.schedules import Schedules
from entrypoints.local_qstash.states import State
from entrypoints.local_qstash.timetable import Timetable
from entrypoints.local_qstash.url_groups import UrlGroups

MINUTE, HOUR = 60_000, 3_600_000
BEGIN = int(datetime(2026, 3, 7, 20, tzinfo=UTC).timestamp() * 1000)
"""Before New York's clocks skip an hour."""
CRONS = st.sampled_from(
    [
        "* * * * *",
        "*/7 * * * *",
        "0 */2 * * *",
        "CRON_TZ=America/New_York 30 2 * * *",
        "CRON_TZ=America/New_York 15 */3 * * *",
        "0 0 * * 0",
    ]
)


class ScheduleMachine(RuleBasedStateMachine):
    ids = Bundle("ids")

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.now = BEGIN
        self.records = Records(None)
        self.full = False
        self.published: list[tuple[str, int]] = []
        """The schedule and the minute of each message."""
        self.under_way: dict[str, QueuedMessage] = {}
        self.expected: list[tuple[str, int]] = []
        self.crons: dict[str, str] = {}
        self.paused: set[str] = set()
        self.last: dict[str, dict[str, str] | None] = {}
        """The states of the last run of each schedule, None if it failed."""
        self.start()

    def teardown(self) -> None:
        self.runner.run(self.schedules.aclose())
        self.runner.close()

    def start(self) -> None:
        async def start() -> Schedules:
            groups = UrlGroups(self.records)
            schedules = Schedules(self.records, groups, self.publish, now=lambda: self.now)
            schedules.resume(set(self.under_way))
            return schedules

        self.schedules = self.runner.run(start())

    async def publish(self, messages: Sequence[QueuedMessage]) -> list[tuple[str, bool] | Refused]:
        (message,) = messages
        if self.full:
            return [QueueFull()]
        assert message.schedule_id is not None
        assert message.created_at == self.now
        self.published.append((message.schedule_id, self.now // MINUTE))
        self.under_way[message.id] = message
        return [(message.id, False)]

    def expect(self, begin: int, end: int) -> None:
        """Expect what is due behind `begin` and up to `end`."""
        for schedule_id, cron in self.crons.items():
            at = begin
            while schedule_id not in self.paused and (at := next_time(cron, at)) <= end:
                self.last[schedule_id] = None if self.full else {}
                if not self.full:
                    self.expected.append((schedule_id, at // MINUTE))

    @rule(target=ids, name=st.sampled_from("abc"), cron=CRONS)
    def put(self, name: str, cron: str) -> str:
        put = self.schedules.put("http://x.test/", {}, b"", cron=cron, schedule_id=name)
        assert self.runner.run(put) == name
        self.crons[name] = cron
        return name

    @rule(name=ids, paused=st.booleans())
    def pause(self, name: str, paused: bool) -> None:
        assert self.runner.run(self.schedules.pause(name, paused)) == (name in self.crons)
        if name in self.crons:
            (self.paused.add if paused else self.paused.discard)(name)

    @rule(name=consumes(ids))
    def delete(self, name: str) -> None:
        self.runner.run(self.schedules.delete(name))
        self.crons.pop(name, None)
        self.last.pop(name, None)
        self.paused.discard(name)

    @rule(full=st.booleans())
    def fill(self, full: bool) -> None:
        self.full = full

    @rule(minutes=st.integers(1, 900), late=st.integers(0, MINUTE - 1))
    def go_on(self, minutes: int, late: int) -> None:
        """Time passes, and each time that is due is noticed, at most a minute late."""
        begin, end = self.now, self.now + minutes * MINUTE // (10 if late else 1)
        due = [self.schedules.next_of(each) or 0 for each in self.crons]
        while due and min(due) + late <= end:
            self.now = max(self.now, min(due) + late)
            self.runner.run(self.schedules.publish_due())
            due = [self.schedules.next_of(each) or 0 for each in self.crons]
        self.now = end
        self.runner.run(self.schedules.publish_due())
        self.expect(begin, end)

    @rule(minutes=st.integers(1, 5_000), seconds=st.integers(0, 59))
    def sleep(self, minutes: int, seconds: int) -> None:
        """The machine is suspended: only what was due in the last minute is noticed."""
        begin, self.now = self.now, self.now + minutes * MINUTE + seconds * 1000
        self.runner.run(self.schedules.publish_due())
        self.expect(max(begin, self.now - MINUTE), self.now)

    @rule(minutes=st.integers(0, 5_000), killed=st.booleans())
    def restart(self, minutes: int, killed: bool) -> None:
        """If the process is killed, that messages have ended may not be noted."""
        if killed:
            self.under_way.clear()
        self.runner.run(self.schedules.aclose())
        self.now += minutes * MINUTE
        self.start()

    @rule(data=st.data(), state=st.sampled_from(State))
    def note(self, data: st.DataObject, state: State) -> None:
        if not self.under_way:
            return
        message = self.under_way[data.draw(st.sampled_from(sorted(self.under_way)))]
        if state in (State.DELIVERED, State.FAILED, State.CANCELED):
            del self.under_way[message.id]

        async def note() -> None:
            self.schedules.runs.note(message, state)

        self.runner.run(note())

    @invariant()
    def only_what_is_due_was_published_and_once(self) -> None:
        assert sorted(self.published) == sorted(self.expected)

    @invariant()
    def the_last_runs_are_known(self) -> None:
        for name, states in self.last.items():
            run = self.schedules.runs.of(name)
            assert ("error" in run) == (states is None)
            for message_id, state in run["states"].items():
                assert (state == "IN_PROGRESS") == (message_id in self.under_way)

    @invariant()
    def each_is_due_later(self) -> None:
        assert set(self.schedules.all()) == set(self.crons)
        for name, cron in self.crons.items():
            assert self.schedules.next_of(name) == next_time(cron, self.now)
            assert self.schedules.all()[name]["paused"] == (name in self.paused)


TestSchedules = ScheduleMachine.TestCase


def test_a_clock_that_is_set_back_is_followed() -> None:
    timetable = Timetable()
    timetable.put("daily", "0 0 * * *", BEGIN)
    assert timetable.take_due(BEGIN + 4 * HOUR) == ["daily"]
    assert timetable.take_due(BEGIN + 4 * HOUR - 1) == []  # by a little: not again
    assert timetable.take_due(BEGIN + 4 * HOUR) == []
    assert timetable.take_due(BEGIN + 3 * HOUR) == []
    assert timetable.take_due(BEGIN + 4 * HOUR) == ["daily"]
