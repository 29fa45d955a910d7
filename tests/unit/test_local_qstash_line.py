"""Lines of flow control, on a clock that only the test moves: any mix of arrivals, ends, cancels,
limits, pins, pauses and resets."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
)

from entrypoints.local_qstash.line import Limits, Line, Room, Turn

LINES = 2
LIMITS = st.builds(
    Limits,
    st.none() | st.integers(1, 3),
    st.none() | st.integers(1, 3),
    st.sampled_from([1.0, 5.0, 60.0]),
)
JOINING = st.tuples(st.integers(0, LINES - 1), st.booleans())
"""The line, and whether it needs a place in the room."""


class Timer:
    def __init__(self, at: float, callback: Callable[[], Any]) -> None:
        self.at, self.callback, self.cancelled = at, callback, False

    def cancel(self) -> None:
        self.cancelled = True


class FakeClock:
    def __init__(self) -> None:
        self.now = 1_000.0
        self.timers: list[Timer] = []

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[[], Any]) -> Timer:
        self.timers.append(Timer(when, callback))
        return self.timers[-1]

    def due(self) -> float | None:
        """When the next timer is due."""
        self.timers = [each for each in self.timers if not each.cancelled]
        return min((each.at for each in self.timers), default=None)

    def advance(self, until: float) -> Iterator[None]:
        """Let the time pass. Stops behind each timer."""
        while (at := self.due()) is not None and at <= until:
            self.now = max(self.now, at)
            timer = next(each for each in self.timers if each.at == at)
            self.timers.remove(timer)
            timer.callback()
            yield
        self.now = until


@dataclass(eq=False)
class Message:
    line: "Model"
    turn: Turn
    needs_room: bool


@dataclass(eq=False)
class Model:
    """What a line should do."""

    line: Line
    given: Limits = field(default_factory=Limits)
    parallelism: int | None = None
    rate: tuple[int, float] | None = None
    paused: bool = False
    waiting: deque[Message] = field(default_factory=deque)
    under_way: list[Message] = field(default_factory=list)
    begun: int = 0
    ends: float = 0.0

    @property
    def most(self) -> int | None:
        return self.given.parallelism if self.parallelism is None else self.parallelism

    @property
    def rated(self) -> tuple[int | None, float]:
        return (self.given.rate, self.given.period) if self.rate is None else self.rate


class Lines(RuleBasedStateMachine):
    waiting = Bundle("waiting")

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.clock = FakeClock()

    def teardown(self) -> None:
        self.loop.close()

    @initialize(
        target=waiting,
        room=st.integers(1, 5),
        limits=st.lists(LIMITS, min_size=LINES, max_size=LINES),
        joining=st.lists(JOINING, min_size=4, max_size=12),
    )
    def begin(
        self, room: int, limits: list[Limits], joining: list[tuple[int, bool]]
    ) -> MultipleResults[Message]:
        self.room = Room(room)
        self.models = [Model(Line(self.clock, self.room)) for _ in range(LINES)]
        for line, each in enumerate(limits):
            self.give(line, each)
        return multiple(*(self.joined(*each) for each in joining))

    @rule(target=waiting, joining=st.lists(JOINING, min_size=1, max_size=3))
    def join(self, joining: list[tuple[int, bool]]) -> MultipleResults[Message]:
        return multiple(*(self.joined(*each) for each in joining))

    def joined(self, line: int, needs_room: bool) -> Message:
        message = Message(self.models[line], self.loop.create_future(), needs_room)
        message.line.waiting.append(message)
        message.line.line.join(message.turn, needs_room)
        self.see()
        return message

    @rule(message=consumes(waiting))
    def leave(self, message: Message) -> None:
        """It has ended, or it is cancelled while it waits."""
        model = message.line
        if message in model.under_way:
            model.under_way.remove(message)
        else:
            message.turn.cancel()
            model.waiting.remove(message)
        model.line.leave(message.turn, message.needs_room)
        self.see()

    @rule(message=consumes(waiting), other=consumes(waiting))
    def leave_both(self, message: Message, other: Message) -> None:
        """One is cancelled, but has not left yet when the other does."""
        if message in message.line.waiting:
            message.turn.cancel()
            message.line.waiting.remove(message)
            self.leave(other)
            message.line.line.leave(message.turn, message.needs_room)
            self.see()

    @rule(line=st.integers(0, LINES - 1), limits=LIMITS)
    def give(self, line: int, limits: Limits) -> None:
        model = self.models[line]
        model.given = limits
        self.shorten(model)
        model.line.give(limits)
        self.see()

    @rule(
        line=st.integers(0, LINES - 1),
        parallelism=st.none() | st.integers(1, 3),
        rate=st.none() | st.tuples(st.integers(1, 3), st.sampled_from([2.0, 30.0])),
    )
    def pin(self, line: int, parallelism: int | None, rate: tuple[int, float] | None) -> None:
        model = self.models[line]
        model.parallelism = parallelism or model.parallelism
        model.rate = rate or model.rate
        model.begun, model.ends = 0, self.clock.now + model.rated[1]
        model.line.pin(parallelism, rate)
        self.see()

    @rule(line=st.integers(0, LINES - 1), parallelism=st.booleans(), rate=st.booleans())
    def unpin(self, line: int, parallelism: bool, rate: bool) -> None:
        model = self.models[line]
        if parallelism:
            model.given, model.parallelism = replace(model.given, parallelism=model.most), None
        if rate:
            most, period = model.rated
            model.given, model.rate = replace(model.given, rate=most, period=period), None
        model.line.unpin(parallelism=parallelism, rate=rate)
        self.see()

    @rule(line=st.integers(0, LINES - 1))
    def pause(self, line: int) -> None:
        self.models[line].paused = True
        self.models[line].line.pause()

    @rule(line=st.integers(0, LINES - 1))
    def resume(self, line: int) -> None:
        self.models[line].paused = False
        self.models[line].line.resume()
        self.see()

    @rule(line=st.integers(0, LINES - 1))
    def reset(self, line: int) -> None:
        model = self.models[line]
        model.begun, model.ends = 0, self.clock.now + model.rated[1]
        model.line.reset()
        self.see()

    @rule(seconds=st.sampled_from([0.5, 1.0, 4.0, 60.0]))
    def wait(self, seconds: float) -> None:
        for _ in self.clock.advance(self.clock.now + seconds):
            self.see()

    def shorten(self, model: Model) -> None:
        rate, period = model.rated
        if rate is not None:
            model.ends = min(model.ends, self.clock.now + period)

    def see(self) -> None:
        """Check what has begun now, and count it."""
        for model in self.models:
            while model.waiting and model.waiting[0].turn.done():
                message = model.waiting.popleft()
                model.under_way.append(message)
                assert not model.paused
                assert model.most is None or len(model.under_way) <= model.most
                rate, period = model.rated
                if rate is not None:
                    if self.clock.now >= model.ends:
                        model.begun, model.ends = 0, self.clock.now + period
                    model.begun += 1
                    assert model.begun <= rate

    @invariant()
    def they_begin_in_order(self) -> None:
        for model in self.models:
            assert not any(each.turn.done() for each in model.waiting)

    @invariant()
    def the_room_is_kept(self) -> None:
        under_way = [each for model in self.models for each in model.under_way]
        assert sum(each.needs_room for each in under_way) == self.room.held <= self.room.limit

    @invariant()
    def none_waits_without_a_reason(self) -> None:
        for model in self.models:
            if not model.waiting or model.paused:
                continue
            if model.most is not None and len(model.under_way) >= model.most:
                continue
            rate, _ = model.rated
            if rate is not None and model.begun >= rate and self.clock.now < model.ends:
                assert model.ends in {each.at for each in self.clock.timers if not each.cancelled}
                continue
            assert model.waiting[0].needs_room
            assert self.room.full

    @invariant()
    def it_is_shown(self) -> None:
        for model in self.models:
            line, limits = model.line, model.line.limits
            assert (line.waiting, line.held) == (len(model.waiting), len(model.under_way))
            assert line.idle == (not model.waiting and not model.under_way)
            assert (limits.parallelism, (limits.rate, limits.period)) == (model.most, model.rated)
            if limits.rate is not None and self.clock.now < model.ends:
                assert (line.begun, line.ends) == (model.begun, model.ends)


TestLines = Lines.TestCase
