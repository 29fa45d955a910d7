"""Streams that many clients open at once: they are opened in turns."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from entrypoints.http.protocol.turns import Turns
from tests.doubles.upstream import DONE, Gate, Script, Upstream, finish, piece
from tests.raw_http import LAST_GET, connect, received, received_until
from tests.running import Running, running_service, settings_for

READERS = 20


@pytest.fixture
def limited(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[int], Running]]:
    """Runs a service that opens so many streams at once, and no more while none ends."""
    with ExitStack() as stack:

        def run(at_once: int) -> Running:
            monkeypatch.setattr(Turns.__init__, "__defaults__", (at_once, 600.0))
            settings = settings_for(openai_api_key="sk-planted", openai_base_url=upstream.url)
            return stack.enter_context(running_service(settings))

        yield run


def _head(task: str, *, close: bool = True) -> bytes:
    last = "Connection: close\r\n" if close else ""
    return f"GET /api/tasks/{task}/stream HTTP/1.1\r\nHost: localhost\r\n{last}\r\n".encode()


def test_every_stream_is_opened_and_a_turn_ends_however_its_request_does(
    upstream: Upstream, limited: Callable[[int], Running]
) -> None:
    gate = Gate()
    upstream.then(Script([piece("One"), gate, finish(), DONE]))
    service = limited(1)
    task = service.client.start()
    with ExitStack() as stack:
        for refused in (_head("task_1_unknown"), _head(task).replace(b"Host", b"Most")):
            assert b" 40" in _answer(service, refused)
        for _ in range(READERS):
            with connect(service.url) as gone:
                gone.sendall(_head(task))
        opened = [stack.enter_context(connect(service.url)) for _ in range(READERS)]
        for each in opened:
            each.sendall(_head(task, close=False) + LAST_GET)
        begun = [received_until(each, b'"One"') for each in opened]
        gate.open()
        for each, first in zip(opened, begun, strict=True):
            data = first + received(each)
            assert data.count(b'"type":"end"') == 1
            assert data.count(b"HTTP/1.1 200 OK") == 2, "and the request behind it"


def test_what_awaits_its_turn_holds_up_nothing_else_and_is_answered_when_the_server_stops(
    limited: Callable[[int], Running],
) -> None:
    service = limited(0)
    with ExitStack() as stack:
        waiting = [stack.enter_context(connect(service.url)) for _ in range(READERS)]
        task = service.client.start()
        for each in waiting:
            each.sendall(_head(task))
        service.client.wait_for(task, "completed")
        assert b'"status":"ok"' in _answer(service, LAST_GET)
        service.service.stop()
        for each in waiting:
            assert received(each).startswith(b"HTTP/1.1 200 OK")


def _answer(service: Running, request: bytes) -> bytes:
    with connect(service.url) as connection:
        connection.sendall(request)
        return received(connection)
