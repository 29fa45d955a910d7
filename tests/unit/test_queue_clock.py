"""What is known of QStash's clock, from the dates of its answers."""

from email.utils import formatdate

import pytest

from adapters.qstash.clock import MAX_AGE, PRECISION, SAMPLES, SLOWEST, QueueClock

START = 1_700_000_000.0


class Machine:
    """A machine whose clock is `wrong` by so many seconds, and a queue whose clock is right."""

    def __init__(self, wrong: float = 0.0) -> None:
        self.true = START
        self.wrong = wrong
        self.asleep = 0.0
        self.clock = QueueClock(
            lambda: self.true + self.wrong, lambda: self.true - START - self.asleep
        )

    def hear(self, took: float = 0.1, error: float = 0.0) -> None:
        """An answer of the queue."""
        began = self.clock.begin()
        self.true += took / 2
        date = formatdate(self.true + error, usegmt=True)
        self.true += took / 2
        self.clock.compare(date, began)

    def is_right(self) -> bool:
        return abs(self.clock.now() - self.true) <= PRECISION


@pytest.mark.parametrize("wrong", [-4_000.0, -300.3, -6.0, 6.0, 300.7, 4_000.0])
def test_a_wrong_clock_is_known_from_the_first_answer(wrong: float) -> None:
    machine = Machine(wrong)
    assert machine.clock.offset() == 0.0
    assert not machine.is_right()
    for number in range(20):
        machine.hear(took=0.1 + number * 0.37 % 1.9)
        assert machine.is_right()
        assert machine.clock.offset() == pytest.approx(-wrong, abs=PRECISION)


def test_a_clock_that_is_right_is_left_as_it_is() -> None:
    for wrong in (-0.9, 0.0, 0.9):
        machine = Machine(wrong)
        for _ in range(20):
            machine.hear(took=0.33)
            assert machine.clock.offset() == 0.0


def test_a_few_odd_answers_do_not_count() -> None:
    machine = Machine(60.0)
    for number in range(40):
        machine.hear(error=5_000.0 if number % 4 == 3 else 0.0)
        assert machine.is_right()


def test_a_slow_answer_and_a_date_that_is_none_are_passed_over() -> None:
    machine = Machine(60.0)
    machine.hear(took=SLOWEST + 1)
    for date in ("", "today", "Tue, 99 Nov 2099 99:99:99 GMT", "a, b, c, d, e"):
        machine.clock.compare(date, machine.clock.begin())
    assert machine.clock.offset() == 0.0


def test_a_clock_that_is_set_or_a_machine_that_slept_is_measured_anew() -> None:
    machine = Machine(600.0)
    for _ in range(SAMPLES):
        machine.hear()
    machine.wrong = 0.0  # it was set right
    assert machine.clock.offset() == 0.0
    assert machine.is_right()
    machine.hear()
    assert machine.is_right()
    machine.asleep, machine.wrong = 3_600.0, -1_800.0
    assert machine.clock.offset() == 0.0
    machine.hear()
    assert machine.is_right()


def test_a_clock_that_drifts_is_followed() -> None:
    machine = Machine(10.0)
    for _ in range(100):
        machine.true += MAX_AGE / 2
        machine.wrong += 0.3  # a millisecond in a second
        machine.hear()
        assert machine.is_right()


def test_a_shared_clock_learns_nothing_from_a_stale_date() -> None:
    clock = QueueClock(shared=True)
    clock.compare(formatdate(START, usegmt=True), clock.begin())
    assert clock.offset() == 0.0
