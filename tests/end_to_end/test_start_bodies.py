"""The bodies of starts that are being read hold bounded memory, at the cost of the slow ones."""

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import httpx
from dependency_injector import providers

from entrypoints.container import Container
from entrypoints.http.start_bodies import StartBodies
from tests.doubles.upstream import Upstream
from tests.raw_http import connect, received
from tests.running import Running, running_service, settings_for
from tests.waiting import eventually, within

SIZE = 600_000


@contextmanager
def _service(upstream: Upstream, bodies: StartBodies) -> Iterator[Running]:
    with (
        Container.start_bodies.override(providers.Object(bodies)),
        running_service(settings_for(openai_base_url=upstream.url)) as service,
    ):
        yield service


def _slow(service: Running) -> socket.socket:
    """A start whose body is not sent to its end."""
    connection = connect(service.url)
    head = (
        "POST /api/tasks/start HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Type: application/json\r\nContent-Length: {SIZE + 10}\r\n\r\n"
    )
    connection.sendall(head.encode() + b" " * SIZE)
    return connection


def test_the_slowest_body_makes_room_for_the_others(upstream: Upstream) -> None:
    bodies = StartBodies(room=4 * SIZE)
    with _service(upstream, bodies) as service, ExitStack() as stack:
        slow = [stack.enter_context(_slow(service)) for _ in range(5)]
        answer = received(slow[0])
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"too-many-requests-at-once" in answer
        assert b"retry-after: 1" in answer.lower()
        for prompt in ("short", "x" * 90_000):
            start = httpx.post(f"{service.url}/api/tasks/start", json={"prompt": prompt})
            assert start.status_code == 202, start.text


def test_bodies_that_arrive_at_once_are_taken_or_told_to_come_again(upstream: Upstream) -> None:
    bodies = StartBodies(room=200_000)
    with _service(upstream, bodies) as service:
        statuses: list[int] = []

        def start() -> None:
            answer = httpx.post(
                f"{service.url}/api/tasks/start", json={"prompt": "x" * 90_000}, timeout=60
            )
            statuses.append(answer.status_code)

        threads = [threading.Thread(target=start) for _ in range(40)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(within(60))
        assert set(statuses) <= {202, 503}
        assert 202 in statuses
        eventually(lambda: bodies._held == 0)  # released right behind the last response
