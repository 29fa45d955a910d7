"""Schedules on a clock of the test: what is published when, whatever happens meanwhile."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from unittest.mock import AsyncMock

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule
from structlog.testing import capture_logs

from entrypoints.local_qstash import schedules, timetable
from entrypoints.local_qstash.cron import next_time
from entrypoints.local_qstash.message import QueuedMessage
from entrypoints.local_qstash.records import SCHEDULE_RUNS, Records
from entrypoints.local_qstash.refusals import BadMessage, QueueFull, Refused
from entrypoints.local_qstash.schedules import Schedules
from entrypoints.local_qstash.states import State
from entrypoints.local_qstash.timetable import Timetable
from entrypoints.local_qstash.url_groups import UrlGroups
from tests.waiting import until

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
        self.deduplications: set[str] = set()
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
            started = Schedules(self.records, groups, self.publish, now=lambda: self.now)
            started.resume(set(self.under_way))
            return started

        self.schedules = self.runner.run(start())

    async def publish(self, messages: Sequence[QueuedMessage]) -> list[tuple[str, bool] | Refused]:
        (message,) = messages
        if self.full:
            return [QueueFull()]
        assert message.deduplication is not None
        if message.deduplication in self.deduplications:
            return [("an earlier one", True)]
        self.deduplications.add(message.deduplication)
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

    @rule(seconds=st.integers(0, 150) | st.integers(0, 300_000), killed=st.booleans())
    def restart(self, seconds: int, killed: bool) -> None:
        """What was due in the last minute is made up for. If the process is killed, that messages
        have ended may not be noted, or not even that they were published."""
        begin = self.now
        self.runner.run(self.schedules.aclose())
        if killed:
            self.under_way.clear()
            for name in [each for each, states in self.last.items() if states is not None]:
                self.runner.run(self.records.drop(SCHEDULE_RUNS, name))
                del self.last[name]
        self.now += seconds * 1000
        self.start()
        self.runner.run(self.schedules.publish_due())
        self.expect(max(begin, self.now - MINUTE), self.now)

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
                assert state == "FAIL" or states is not None

    @invariant()
    def each_is_due_later(self) -> None:
        assert set(self.schedules.all()) == set(self.crons)
        for name, cron in self.crons.items():
            assert self.schedules.next_of(name) == next_time(cron, self.now)
            assert self.schedules.all()[name]["paused"] == (name in self.paused)


TestSchedules = ScheduleMachine.TestCase


async def test_an_endpoint_that_is_refused_leaves_the_states_of_the_others() -> None:
    groups, now, created = UrlGroups(Records(None)), BEGIN, list[QueuedMessage]()
    await groups.add("g", {"endpoints": [{"url": f"http://{each}.test/"} for each in "abc"]})

    async def publish(messages: Sequence[QueuedMessage]) -> list[tuple[str, bool] | Refused]:
        created[:] = messages
        group.runs.note(messages[0], State.DELIVERED)  # before the publish returns
        return [QueueFull() if each is messages[1] else (each.id, False) for each in messages]

    group = Schedules(Records(None), groups, publish, now=lambda: now)
    await group.put("g", {}, b"", cron="* * * * *", schedule_id="s")
    now += MINUTE
    await group.publish_due()
    first, refused, last = (each.id for each in created)
    run = group.runs.of("s")
    assert run["states"] == {first: "SUCCESS", refused: "FAIL", last: "IN_PROGRESS"}
    assert run["error"] == str(QueueFull())
    group.runs.note(created[2], State.FAILED)
    assert group.runs.of("s")["states"][last] == "FAIL"
    await group.aclose()


def test_a_schedule_that_is_due_no_more_does_not_stop_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    followed = Timetable()
    for name in ("good", "bad", "also good"):
        followed.put(name, "30 2 * * *" if name == "bad" else "0 */2 * * *", BEGIN)

    def next_but_for_bad(cron: str, after: int) -> int:
        if cron.startswith("30"):
            raise BadMessage("it never occurs")
        return next_time(cron, after)

    monkeypatch.setattr(timetable, "next_time", next_but_for_bad)
    with capture_logs() as lines:
        assert followed.take_due(BEGIN + 6 * HOUR + 30 * MINUTE) == {}  # those are noticed late
        assert list(followed.take_due(BEGIN + 8 * HOUR)) == ["good", "also good"]
    assert [each["schedule_id"] for each in lines] == ["bad"]


async def test_what_fails_once_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedules, "LOOK", 0.01)
    calls = 0

    async def fail_once(_: Schedules) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise RuntimeError("of a test")

    monkeypatch.setattr(Schedules, "publish_due", fail_once)
    records = Records(None)
    follower = Schedules(records, UrlGroups(records), AsyncMock())
    follower.resume(())
    await follower.put("http://x.test/", {}, b"", cron="* * * * *")
    await until(lambda: calls > 1)
    await follower.aclose()


def test_a_clock_that_is_set_back_is_followed() -> None:
    daily = Timetable()
    daily.put("daily", "0 0 * * *", BEGIN)
    assert daily.take_due(BEGIN + 4 * HOUR) == {"daily": BEGIN + 4 * HOUR}
    assert daily.take_due(BEGIN + 4 * HOUR - 1) == {}  # by a little: not again
    assert daily.take_due(BEGIN + 4 * HOUR) == {}
    assert daily.take_due(BEGIN + 3 * HOUR) == {}
    assert daily.take_due(BEGIN + 4 * HOUR) == {"daily": BEGIN + 4 * HOUR}


async def test_a_time_is_published_once_although_its_process_was_killed_before_it_noted_that() -> (
    None
):
    records, now, names = Records(None), BEGIN, list[str | None]()

    async def publish(messages: Sequence[QueuedMessage]) -> list[tuple[str, bool] | Refused]:
        known = [each.deduplication in names for each in messages]
        names.extend(each.deduplication for each in messages)
        return [(each.id, earlier) for each, earlier in zip(messages, known, strict=True)]

    async def process() -> None:
        schedules = Schedules(records, UrlGroups(records), publish, now=lambda: now)
        schedules.resume(())
        if not schedules.all():
            await schedules.put("http://x.test/", {}, b"", cron="* * * * *", schedule_id="s")
        await schedules.publish_due()
        await schedules.aclose()

    await process()
    for later in (MINUTE, 2 * MINUTE - 1, 2 * MINUTE):
        now = BEGIN + later
        await process()
        await records.drop(SCHEDULE_RUNS, "s")
    assert (len(names), len(set(names))) == (3, 2)
