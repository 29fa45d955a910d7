"""Streams of EventSources, held open behind their last event: which, how many, and until when."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.doubles.upstream import DONE, Gate, Script, Upstream, finish, piece
from tests.end_to_end.test_older_client import EVENT_SOURCE
from tests.raw_http import connect
from tests.running import Running, running_service, settings_for
from tests.waiting import eventually

LAST_CHUNK = b"\r\n0\r\n\r\n"
END = b'"type":"end"'
PING = b": keep-alive\n"


@pytest.fixture
def holding(upstream: Upstream) -> Iterator[Running]:
    """It has one slot for a live stream of an address."""
    settings = settings_for(
        openai_base_url=upstream.url, sse_ping_interval=0.1, address_limits="streams=1"
    )
    with running_service(settings) as running:
        yield running


class Stream:
    """A request for a stream, on a connection of its own."""

    def __init__(self, url: str, task: str, headers: dict[str, str] = EVENT_SOURCE) -> None:
        self.connection: socket.socket = connect(url)
        lines = [f"{name}: {value}" for name, value in headers.items()]
        head = [f"GET /api/tasks/stream?taskId={task} HTTP/1.1", "Host: localhost", *lines, "", ""]
        self.connection.sendall("\r\n".join(head).encode())
        self.data = b""

    def close(self) -> None:
        self.connection.close()

    def until(self, text: bytes) -> bytes:
        """Read until it holds the text, or has ended."""
        while text not in self.data and not self.ended:
            part = self.connection.recv(65536)
            if not part:
                break
            self.data += part
        assert text in self.data, self.data[-300:]
        return self.data

    @property
    def ended(self) -> bool:
        return self.data.endswith(LAST_CHUNK)

    def is_held(self) -> None:
        """Wait for a ping behind the end."""
        self.until(END)
        while PING not in self.data.partition(END)[2]:
            assert not self.ended
            self.data += self.connection.recv(65536)
        assert not self.ended


def ended_task(service: Running) -> str:
    task = service.client.start()
    service.client.wait_for(task, "completed")
    return task


def held(service: Running) -> int:
    for line in service.client.http.get("/metrics").text.splitlines():
        if line.startswith("longtask_held_streams "):
            return int(float(line.split()[1]))
    raise AssertionError("no such metric")


def opened(service: Running) -> bool:
    return "longtask_open_streams 0.0" not in service.client.http.get("/metrics").text


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Accept": "*/*"},
        {"Accept": "text/event-stream"},  # httpx-sse, the SDKs
        {**EVENT_SOURCE, "Accept": "*/*"},  # fetch
        {**EVENT_SOURCE, "Accept": "application/json, text/event-stream"},
        {**EVENT_SOURCE, "Last-Event-ID": "{id}"},
    ],
)
def test_who_reads_to_the_end_of_the_body_gets_it_at_once(
    holding: Running, headers: dict[str, str]
) -> None:
    task = ended_task(holding)
    first = holding.client.events(task).logged[0].id
    stream = Stream(holding.url, task, {k: v.format(id=first) for k, v in headers.items()})
    assert END in stream.until(LAST_CHUNK)
    stream.close()
    assert held(holding) == 0


def test_a_held_stream_costs_no_slot_and_the_oldest_makes_room(holding: Running) -> None:
    task = ended_task(holding)
    with ExitStack() as stack:
        streams = []
        for number in range(6):
            eventually(lambda: not opened(holding))
            stream = Stream(holding.url, task)
            stack.callback(stream.close)
            stream.is_held()
            streams.append(stream)
            assert held(holding) == min(number + 1, 4)
        for stream in streams[:2]:
            stream.until(LAST_CHUNK)
        for stream in streams[2:]:
            assert not stream.ended
        eventually(lambda: not opened(holding))
        assert holding.client.events(task).types[-1] == "end"
    eventually(lambda: held(holding) == 0)  # their clients are gone


def test_a_held_stream_ends_after_its_time(upstream: Upstream) -> None:
    settings = settings_for(
        openai_base_url=upstream.url, sse_ping_interval=0.1, hold_ended_streams=1.0
    )
    with running_service(settings) as service:
        stream = Stream(service.url, ended_task(service))
        began = time.monotonic()
        stream.is_held()
        stream.until(LAST_CHUNK)
        assert time.monotonic() - began > 0.5
        stream.close()
        assert held(service) == 0


@pytest.mark.parametrize(
    "off", ["hold_ended_streams", "max_held_streams_per_address", "max_held_streams"]
)
def test_holding_can_be_switched_off(off: str) -> None:
    with running_service(settings_for(**{off: 0})) as service:
        stream = Stream(service.url, ended_task(service))
        assert END in stream.until(LAST_CHUNK)
        stream.close()


def test_a_stop_ends_what_is_held_and_what_is_live(upstream: Upstream) -> None:
    """A live stream is not held: its client must go on at another instance."""
    upstream.then(Script([piece("One"), finish(), DONE]), Script([piece("Half"), Gate()]))
    settings = settings_for(openai_base_url=upstream.url, sse_ping_interval=0.1, grace=0.1)
    with running_service(settings) as service:
        over = Stream(service.url, ended_task(service))
        over.is_held()
        live = Stream(service.url, service.client.start())
        live.until(b'"Half"')
    for stream in (over, live):
        stream.until(LAST_CHUNK)
        stream.close()
    assert END not in live.data
