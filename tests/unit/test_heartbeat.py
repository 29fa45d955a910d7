"""The heartbeat of readers and watches."""

from collections.abc import Callable

from application.heartbeat import SHORTEST_PAUSE, Heartbeat, Member
from tests.waiting import until


class Counting(Member):
    def __init__(self, then: Callable[[], None] = lambda: None) -> None:
        self.ticks = 0
        self._then = then

    def tick(self) -> None:
        self.ticks += 1
        self._then()


async def test_members_of_all_groups_are_told_until_they_leave() -> None:
    heartbeat = Heartbeat(4 * SHORTEST_PAUSE)
    early, late = Counting(), Counting()
    heartbeat.add(early)
    await until(lambda: early.ticks == 1)
    heartbeat.add(late)
    await until(lambda: late.ticks >= 3)
    assert early.ticks in range(late.ticks, late.ticks + 2), "each is told once per interval"
    heartbeat.remove(early)
    before, then = early.ticks, late.ticks
    await until(lambda: late.ticks >= then + 2)
    assert early.ticks == before


async def test_one_that_fails_or_removes_others_keeps_no_other_from_being_told() -> None:
    heartbeat = Heartbeat(SHORTEST_PAUSE)

    def fail() -> None:
        raise RuntimeError("on purpose")

    other = Counting()
    leaving = Counting(lambda: heartbeat.remove(leaving))
    for each in (Counting(fail), leaving, other):
        heartbeat.add(each)
    await until(lambda: other.ticks >= 3)
    assert leaving.ticks == 1


async def test_a_member_that_comes_again_is_told_again() -> None:
    heartbeat = Heartbeat(SHORTEST_PAUSE)
    only = Counting(lambda: heartbeat.remove(only))
    for ticks in (1, 2, 3):
        heartbeat.add(only)
        await until(lambda: only.ticks == ticks)  # noqa: B023
