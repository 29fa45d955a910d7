"""Clients that do not read: a long record comes in pages, and what takes nothing is cut."""

import math
import socket

import httpx
import pytest
from dependency_injector import providers

from application.errors import StoreUnavailable
from application.ports import ForwardingTaskLog, Page
from entrypoints.container import Container
from entrypoints.sockets import SEND_BUFFER
from tests.doubles.upstream import DONE, Script, Upstream, finish, piece
from tests.raw_http import GET, connect, conversation, received
from tests.running import Running, follow, running_service, settings_for
from tests.waiting import eventually, within


def _long(upstream: Upstream, service: Running, lines: int = 60_000) -> tuple[str, str]:
    """A task whose log is of several pages, with a lost attempt before; and its text."""
    text = "".join(f'{number:06} "quoted" \\ é世🌍\n' for number in range(lines))
    pieces = [piece(text[at : at + 20_000]) for at in range(0, len(text), 20_000)]
    upstream.then(Script([piece("lost"), *pieces], cut=True), Script([*pieces, finish(), DONE]))
    task = service.client.start()
    eventually(
        lambda: (
            service.client.http.get(f"/api/tasks/start?taskId={task}").json()["status"]
            == "completed"
        ),
        timeout=30,
    )
    return task, text


def test_a_long_record_comes_in_pages_and_is_whole(service: Running, upstream: Upstream) -> None:
    task, text = _long(upstream, service)
    answer = service.client.http.get(f"/api/tasks/{task}")
    assert answer.headers["Content-Type"] == "application/json"
    assert "Content-Length" not in answer.headers
    record = answer.json()
    assert record["text"] == text
    assert (record["status"], record["attempt"]) == ("completed", 2)
    assert "finishReason" in record
    old = conversation(
        service.url, [f"GET /api/tasks/{task} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode()]
    )
    assert old.partition(b"\r\n\r\n")[2] == answer.content


class Readable(ForwardingTaskLog):
    """A log of which so many pages more can be read."""

    pages = math.inf

    async def read(self, task_id: str, after: int, limit: int) -> Page:
        self.pages -= 1
        if self.pages < 0:
            raise StoreUnavailable("away")
        return await super().read(task_id, after, limit)


def test_a_record_whose_log_goes_away_is_no_whole_one(upstream: Upstream) -> None:
    """Its status is out: the connection breaks off, so that no client takes the rest for all."""
    with (
        Container.tasks.override(providers.Singleton(Readable, Container.measured_tasks)),
        running_service(
            settings_for(openai_base_url=upstream.url, qstash_retry_delay="50")
        ) as service,
    ):
        task, _ = _long(upstream, service)
        tasks = service.service.container.tasks()
        tasks.pages = 10
        with pytest.raises(httpx.HTTPError):
            service.client.http.get(f"/api/tasks/{task}")


@pytest.mark.soak
def test_a_client_that_takes_nothing_is_cut(upstream: Upstream) -> None:
    settings = settings_for(
        openai_base_url=upstream.url,
        write_timeout=1.0,
        qstash_retry_delay="50",
        max_output_chars=20_000_000,
    )
    with running_service(settings) as service:
        # More than a kernel keeps for a connection.
        task, text = _long(upstream, service, lines=500_000)
        connections = service.service._server.server_state.connections

        def unsent() -> int:
            return sum(each.transport.get_write_buffer_size() for each in list(connections))

        for path in (f"/api/tasks/{task}", f"/api/tasks/stream?taskId={task}"):
            with connect(service.url, receive_buffer=4096) as connection:
                connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
                eventually(lambda: unsent() > 0)
                eventually(lambda: unsent() == 0)
                assert not received(connection).endswith(b"0\r\n\r\n")
        thread, whole = follow(service.url, task)
        thread.join(within(20))
        assert whole.logged[-1].data["data"] == text


def test_the_kernel_holds_little_for_a_client(served: Running) -> None:
    """It would hold 4 MB for each, and for as long as the client is there."""
    with connect(served.url) as connection:
        connection.sendall(GET)
        connection.recv(65_536)
        for each in list(served.service._server.server_state.connections):
            own = each.transport.get_extra_info("socket")
            assert own.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) <= 2 * SEND_BUFFER


def test_a_body_does_not_wait_behind_its_head(served: Running) -> None:
    """Until the client says that it has the head: 40 ms later."""
    with connect(served.url) as connection:
        connection.sendall(GET)
        connection.recv(65_536)
        for each in list(served.service._server.server_state.connections):
            own = each.transport.get_extra_info("socket")
            assert own.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
