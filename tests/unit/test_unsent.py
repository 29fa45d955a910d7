"""Which slow clients are cut, and when."""

import asyncio
from types import SimpleNamespace
from typing import cast

import pytest

from entrypoints.http.protocol import unsent
from entrypoints.http.protocol.unsent import NOTHING, Unsent


class _Transport:
    def __init__(self) -> None:
        self.size = 0
        self.cut = False

    def get_write_buffer_size(self) -> int:
        return self.size

    def get_extra_info(self, name: str) -> None:
        return None

    def abort(self) -> None:
        self.cut = True


class _Connection:
    def __init__(self) -> None:
        self.buffer = _Transport()
        self.transport = cast("asyncio.Transport", self.buffer)
        self.unsent = NOTHING
        self.written = 0

    def goes_on(self, written: int, taken: int) -> None:
        self.written += written
        self.buffer.size += written - taken


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(unsent, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


@pytest.mark.parametrize(
    ("written", "taken", "cut"),
    [
        (1_500, 1_000, False),  # slower than the model
        (1_000, 1_000, False),
        (0, 1, False),
        (1_000, 0, True),
        (0, 0, True),
    ],
)
def test_a_client_is_cut_once_it_takes_nothing(
    clock: list[float], written: int, taken: int, cut: bool
) -> None:
    slow, waits = _Connection(), Unsent(timeout=60.0)
    slow.goes_on(50_000, 0)
    for _ in range(90):
        waits.sweep([slow])
        clock[0] += 1.5
        slow.goes_on(written, taken)
    assert slow.buffer.cut is cut


def test_pages_that_follow_each_other_are_progress(clock: list[float]) -> None:
    """What waits is as much at each look, or more, though the client reads and reads."""
    reader, waits = _Connection(), Unsent(timeout=60.0)
    reader.goes_on(100, 0)
    for _ in range(90):
        waits.sweep([reader])
        clock[0] += 1.5
        reader.goes_on(500_000, reader.buffer.size)
    assert not reader.buffer.cut


def test_who_has_held_for_the_longest_makes_room() -> None:
    waits = Unsent(timeout=60.0, limit=100)
    first, second, third = (_Connection() for _ in range(3))
    waits.holds(first, 50)
    waits.holds(second, 40)
    waits.holds(first, 60)
    assert not first.buffer.cut
    waits.holds(second, 0)
    waits.holds(third, 41)
    assert first.buffer.cut
    assert not third.buffer.cut
