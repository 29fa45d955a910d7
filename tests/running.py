"""The real service in a thread, and what a client of it does."""

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx
import httpx_sse

from adapters.database import Database
from adapters.qstash import DEVELOPMENT, QueueCredentials
from entrypoints.event_loop import loop_factory
from entrypoints.http.protocol.uvicorn_server import GracefulServer
from entrypoints.queue_server import local_qstash, local_qstash_alone
from entrypoints.server import Service
from entrypoints.settings import Settings, load_settings
from entrypoints.sockets import listen, url_of
from tests.leaks import PROMPT
from tests.waiting import eventually, within


def settings_for(**overrides: Any) -> Settings:
    """Settings of a test: none from the machine's environment, ports that are free, and nothing on
    disk."""
    defaults = {"host": "127.0.0.1", "port": 0, "demo_speed": 0.0, "data": "memory"}
    return load_settings(env_file=None, **{**defaults, **overrides})


@dataclass
class Event:
    id: str
    data: dict[str, Any]

    @property
    def type(self) -> str:
        return str(self.data["type"])


@dataclass
class Seen:
    """What one connection to a stream gave."""

    events: list[Event] = field(default_factory=list)
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def logged(self) -> list[Event]:
        """The events of the log: those with an id."""
        return [event for event in self.events if event.id]

    @property
    def text(self) -> str:
        return "".join(each.data["data"] for each in self.events if each.type == "content")

    @property
    def types(self) -> list[str]:
        return [each.type for each in self.events]


class Client:
    def __init__(self, url: str) -> None:
        self.url = url
        self.http = httpx.Client(base_url=url, timeout=within(20.0))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def start(self, prompt: str | None = PROMPT, **fields: Any) -> str:
        answer = self.http.post("/api/tasks/start", json={"prompt": prompt, **fields})
        assert answer.status_code == 202, answer.text
        return str(answer.json()["taskId"])

    def record(self, task_id: str) -> dict[str, Any]:
        answer = self.http.get(f"/api/tasks/{task_id}")
        assert answer.status_code == 200, answer.text
        record: dict[str, Any] = answer.json()
        return record

    def wait_for(self, task_id: str, status: str) -> dict[str, Any]:
        def reached() -> dict[str, Any] | None:
            record = self.record(task_id)
            return record if record["status"] == status else None

        return eventually(reached)

    def events(
        self, task_id: str, after: str = "", until: Callable[[Seen], bool] = lambda _: False
    ) -> Seen:
        """One connection, read to its end or until `until` says to hang up."""
        seen = Seen()
        headers = {"Last-Event-ID": after} if after else {}
        query = {"taskId": task_id}
        with httpx_sse.connect_sse(
            self.http, "GET", "/api/tasks/stream", params=query, headers=headers
        ) as source:
            seen.status = source.response.status_code
            seen.headers = dict(source.response.headers)
            if seen.status != 200:
                return seen
            for each in source.iter_sse():
                # httpx_sse repeats the last id on events that carry none of their own.
                data = json.loads(each.data)
                seen.events.append(Event("" if data["type"] == "connected" else each.id, data))
                if until(seen):
                    break
        return seen


def follow(url: str, task_id: str) -> tuple[threading.Thread, Seen]:
    """A reader that connects again and goes on from its last event, until the task has ended."""
    whole = Seen()

    def note(seen: Seen) -> bool:
        whole.events.append(seen.events[-1])
        return False

    def read() -> None:
        with Client(url) as client:
            while True:
                last = whole.logged[-1].id if whole.logged else ""
                with contextlib.suppress(httpx.HTTPError):
                    if client.events(task_id, after=last, until=note).status == 204:
                        break
                time.sleep(0.05)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    return thread, whole


@dataclass
class Running:
    service: Service
    client: Client

    @property
    def url(self) -> str:
        return self.service.url

    @property
    def queue(self) -> QueueCredentials:
        """Those of the embedded queue, or of the settings."""
        credentials: QueueCredentials = self.service.container.queue_credentials()
        return credentials


@contextmanager
def running_service(settings: Settings) -> Iterator[Running]:
    """The service on a real uvicorn, and a client of it."""
    service = Service(settings, signals=False)
    ready = threading.Event()
    with (
        _in_thread(lambda: service.run(ready.set), ready, service.stop),
        Client(service.url) as client,
    ):
        yield Running(service, client)


@contextmanager
def running_local_qstash(
    credentials: QueueCredentials = DEVELOPMENT,
    database: Database | None = None,
    service_url: str | None = None,
) -> Iterator[str]:
    """A local QStash alone, by default with the development server's token and keys; its
    address."""
    server = local_qstash(credentials, signals=False, database=database, service_url=service_url)
    with _serving(server) as url:
        yield url


@contextmanager
def running_qstash_alone(data: Path | None = None) -> Iterator[str]:
    """What `longtask local-qstash` runs: all users of the development server, and the page; its
    address."""
    with local_qstash_alone(data, signals=False) as (server, _), _serving(server) as url:
        yield url


@contextmanager
def _serving(server: GracefulServer) -> Iterator[str]:
    ready = threading.Event()

    async def run() -> None:
        serving = asyncio.create_task(server.serve([listener]))
        await server.ready.wait()
        ready.set()
        await serving

    with listen("127.0.0.1", 0) as listener, _in_thread(run, ready, server.stop):
        yield url_of(listener)


@contextmanager
def _in_thread(
    run: Callable[[], Coroutine[Any, Any, None]], ready: threading.Event, stop: Callable[[], None]
) -> Iterator[None]:
    """The event loop of production for a server. A server that breaks fails the test."""
    failed: list[BaseException] = []

    def run_until_stopped() -> None:
        try:
            with asyncio.Runner(loop_factory=loop_factory()) as runner:
                runner.run(run())
        except BaseException as error:
            failed.append(error)
            ready.set()

    thread = threading.Thread(target=run_until_stopped, daemon=True)
    thread.start()
    assert ready.wait(within(20))
    assert not failed, failed
    try:
        yield
    finally:
        stop()
        thread.join(within(20))
        assert not thread.is_alive(), "the server did not stop"
        assert not failed, failed
