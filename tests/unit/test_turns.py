"""The turns in which streams are opened."""

import pytest

from entrypoints.http.paths import STREAM_REQUEST
from entrypoints.http.protocol.turns import Turns, Waiting
from tests.waiting import until

SHORT, LONG = 0.01, 600.0


class Opening(Waiting):
    def __init__(self, turns: Turns) -> None:
        self.began = turns.begin(self)

    def turn_came(self) -> None:
        self.began = True


def began(openings: list[Opening]) -> list[bool]:
    return [each.began for each in openings]


async def test_who_comes_first_begins_first() -> None:
    turns = Turns(2, LONG)
    openings = [Opening(turns) for _ in range(5)]
    assert began(openings) == [True, True, False, False, False]
    turns.end(openings[2])  # it has left
    turns.end(openings[0])
    turns.end(openings[0])
    assert began(openings) == [True, True, False, True, False]
    assert turns.begin(openings[3]), "it is still its turn"
    turns.end(openings[3])
    turns.end(openings[1])
    turns.end(openings[4])
    assert began(openings) == [True, True, False, True, True]
    assert began([Opening(turns) for _ in range(3)]) == [True, True, False]


async def test_those_that_take_long_hold_up_others_for_a_bounded_time() -> None:
    turns = Turns(1, SHORT)
    openings = [Opening(turns) for _ in range(4)]
    await until(lambda: all(began(openings)))
    turns.end(openings[0])  # does not count any more
    assert not Opening(turns).began


async def test_all_begin_when_the_server_stops() -> None:
    turns = Turns(1, LONG)
    openings = [Opening(turns) for _ in range(4)]
    turns.let_all_begin()
    assert all(began(openings))
    assert Opening(turns).began


@pytest.mark.parametrize(
    ("request_line", "opens"),
    [
        (b"GET /api/tasks/stream?taskId=a HTTP/1.1", True),
        (b"GET /prefix/api/tasks/a/stream HTTP/1.1", True),
        (b"GET /api/tasks/events HTTP/1.1", True),
        (b"GET /v1/responses/resp_a?starting_after=3&stream=true HTTP/1.1", True),
        (b"GET /api/chat/a/stream?startIndex=1 HTTP/1.1", True),
        (b"GET /v1/responses/resp_a?stream=false HTTP/1.1", False),
        (b"GET /v1/responses/resp_a HTTP/1.1", False),
        (b"GET /api/tasks/a/result?wait=30 HTTP/1.1", False),
        (b"GET /streams.js HTTP/1.1", False),
        (b"POST /api/chat/a/stop HTTP/1.1", False),
        (b"GET /healthz HTTP/1.1\r\nReferer: /api/tasks/stream", False),
    ],
)
def test_the_heads_of_streams_are_told_from_others(request_line: bytes, opens: bool) -> None:
    assert bool(STREAM_REQUEST.match(request_line + b"\r\n\r\n")) is opens
