"""What has ended is freed when it ends, and not by the garbage collector, whose thresholds are high
(event_loop.py): it would keep requests of up to megabytes, hundreds at a time."""

import gc
from collections import Counter
from collections.abc import Callable, Iterator

import httpx
import pytest

from adapters.openai.chunks import ChunkStream
from adapters.qstash.responses import _Bounded
from application.attempt import RunningAttempt
from application.owner_watch import OwnerWatch
from application.reader import Reader
from entrypoints.http.protocol.bounded_protocol import BoundedProtocol
from tests.doubles.upstream import DEFAULT, Script, Upstream, event, piece, refusal
from tests.running import Client, Running
from tests.waiting import eventually

FREED = (RunningAttempt, ChunkStream, Reader, OwnerWatch, _Bounded)
REPORTED = Script([piece("a"), event({"error": {"code": "server_error"}})])


@pytest.fixture(autouse=True)
def _no_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def counted(kinds: tuple[type, ...]) -> Counter[str]:
    return Counter(type(each).__name__ for each in gc.get_objects() if isinstance(each, kinds))


def start_and_follow(client: Client, **fields: object) -> None:
    task_id = client.start(**fields)  # type: ignore[arg-type]
    assert client.events(task_id).types[-1] in ("end", "error")


def cancel(client: Client) -> None:
    task_id = client.start()
    client.events(task_id, until=lambda seen: "content" in seen.types)
    client.http.post(f"/api/tasks/{task_id}/cancel").raise_for_status()
    client.events(task_id)


def held(client: Client) -> None:
    body = {"model": "m", "input": "Hi."}
    client.http.post("/v1/responses", json=body).raise_for_status()


def projected(client: Client) -> None:
    body = {"messages": [{"role": "user", "parts": [{"type": "text", "text": "Hi."}]}]}
    assert "finish" in client.http.post("/api/chat", json=body).raise_for_status().text


def watch(client: Client) -> None:
    with client.http.stream("GET", "/api/tasks/events") as response:
        start_and_follow(client)
        next(response.iter_lines())


@pytest.mark.parametrize(
    ("use", "scripts"),
    [
        (start_and_follow, [DEFAULT]),
        (start_and_follow, [REPORTED, DEFAULT]),
        (start_and_follow, [refusal(500), DEFAULT]),
        (start_and_follow, [refusal(401, "invalid_api_key")]),
        (cancel, [Script([piece("a"), 3600.0])]),
        (held, [DEFAULT]),
        (projected, [DEFAULT]),
        (watch, [DEFAULT]),
    ],
    ids=["answered", "failed", "lost", "refused", "cancelled", "held", "projected", "watched"],
)
def test_what_has_ended_is_freed(
    retrying: Running,
    shared_upstream: Upstream,
    use: Callable[[Client], None],
    scripts: list[Script],
) -> None:
    before = counted(FREED)
    shared_upstream.then(*scripts)
    with Client(retrying.url) as client:
        use(client)
    eventually(lambda: counted(FREED) <= before)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/healthz"),
        ("GET", "/api/tasks/stream?taskId={task}"),
        ("POST", "/api/tasks/start"),
        ("GET", "/api/tasks/nothing"),
    ],
)
def test_a_connection_that_was_closed_is_freed(served: Running, method: str, path: str) -> None:
    task = served.client.start()
    served.client.wait_for(task, "completed")
    before = counted((BoundedProtocol,)).total()
    for _ in range(10):
        with httpx.Client(base_url=served.url) as client:
            client.request(method, path.format(task=task), json={})
    eventually(lambda: counted((BoundedProtocol,)).total() <= before + 2)
