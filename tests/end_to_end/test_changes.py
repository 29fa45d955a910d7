"""`GET /api/tasks/events`: what there is, then each change, and behind the last id after a loss."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec
import pytest

from application import owner_watch
from entrypoints import valid_keys
from entrypoints.http.native.summary import TaskChange
from tests.doubles.upstream import DONE, Gate, Script, Upstream, finish, piece
from tests.end_to_end.guarded import ALICE, ALICES_ENTRY, BOB, SECRET, alices, as_bearer
from tests.raw_http import connect
from tests.running import Running, running_service, settings_for
from tests.waiting import eventually, within
from tests.watching import Watch

PATH = "/api/tasks/events"


@pytest.fixture
def held(upstream: Upstream) -> Gate:
    """Of the next task, which has begun to run."""
    gate = Gate()
    upstream.then(Script([piece("one"), gate, piece("two"), finish(), DONE]))
    return gate


def test_what_there_is_then_each_change_then_what_was_missed(
    service: Running, upstream: Upstream, held: Gate
) -> None:
    client = service.client
    running = client.start(metadata={"a": "\u2028\u2029\x85é"})
    client.wait_for(running, "running")
    ended = client.start()
    client.wait_for(ended, "completed")
    watch = Watch(client.http)
    with watch.connected():
        an_hour_ago = 1_000 * (time.time() - 3_600)
        assert int(watch.events[0].id) == pytest.approx(an_hour_ago, abs=60_000)
        watch.wait_for(running, "running")
        watch.wait_for(ended, "completed")
        assert client.http.get(f"/api/tasks/{ended}").json()["finishedAt"] <= int(watch.last_id)
        fresh = client.start()
        watch.wait_for(fresh, "completed")
        client.http.delete(f"/api/tasks/{ended}")
        eventually(lambda: watch.told_of(ended) == ["completed", "deleted"])
        behind = watch.wait_for_id(fresh)
    # While nothing is connected, one ends and one begins.
    held.open()
    client.wait_for(running, "completed")
    gate = Gate()
    upstream.then(Script([piece("one"), gate, finish(), DONE]))
    begun = client.start()
    client.wait_for(begun, "running")
    before = len(watch.events)
    with watch.connected():
        assert watch.events[before].id == behind
        watch.wait_for(begun, "running")
        watch.wait_for(running, "completed")
        gate.open()
        watch.wait_for(begun, "completed")
        told = {each.data.get("taskId") for each in watch.events[before:]}
        assert told == {None, begun, running}, "what was told before is not told again"
    again = Watch(client.http)
    client.http.delete(f"/api/tasks/{fresh}")  # the one of this id
    with again.connected(lastEventId=behind):
        again.wait_for(begun, "completed")
        again.wait_for(running, "completed")
    # Every event is as the API's description says.
    for each in watch.events:
        assert msgspec.to_builtins(msgspec.convert(each.data, TaskChange)) == each.data
    schema = client.http.get("/schema/openapi.json").json()
    stream = schema["paths"][PATH]["get"]["responses"]["200"]["content"]["text/event-stream"]
    named = stream["schema"]["properties"]["data"]["contentSchema"]["$ref"]
    kinds = {each["$ref"] for each in schema["components"]["schemas"][named[21:]]["oneOf"]}
    assert len(kinds) == len({each.type for each in watch.events}) == 4
    summaries = [each.data["task"] for each in watch.events if each.type == "task"]
    listed = client.http.get("/api/tasks").json()["tasks"]
    assert all(each in summaries for each in listed)


def test_it_is_a_stream_like_the_others(service: Running, held: Gate) -> None:
    service.client.start(metadata={"a": "\u2028\u2029\x85"})
    other = service.client.start()
    service.client.wait_for(other, "completed")
    with service.client.http.stream("GET", PATH) as stream:
        assert stream.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert stream.headers["cache-control"] == "no-cache, no-transform"
        assert stream.headers["x-accel-buffering"] == "no"
        assert stream.headers["x-content-type-options"] == "nosniff"
        text, pieces = "", stream.iter_raw()
        while text.count('"type":"task"') < 2:
            text += next(pieces).decode()
        assert text.startswith("retry: 1000\nid: ")
        assert "event:" not in text
        assert not set("\u2028\u2029\x85") & set(text)
        data = [json.loads(line[6:]) for line in text.split("\n") if line.startswith("data: ")]
        assert "\u2028\u2029\x85" in [
            each.get("task", {}).get("metadata", {}).get("a") for each in data
        ]
        metrics = httpx.get(f"{service.url}/metrics").text
        assert "longtask_open_streams 1.0" in metrics
    eventually(lambda: "longtask_open_streams 0.0" in service.client.http.get("/metrics").text)
    held.open()


@pytest.mark.parametrize(
    ("query", "header", "fields"),
    [
        ("lastEventId=x", "", ["lastEventId"]),
        ("lastEventId=1", "a-1", ["Last-Event-ID"]),
        ("lastEventId=x", "1", ["lastEventId"]),
        ("lastEventId=1" + "0" * 15, "", ["lastEventId"]),
        ("lastEventId=-1&status=running", "", ["status", "lastEventId"]),
        ("lastEventId=1&lastEventId=1&token=a", "", ["lastEventId", "token"]),
    ],
)
def test_a_wrong_id_is_refused(
    shared_service: Running, query: str, header: str, fields: list[str]
) -> None:
    headers = {"Last-Event-ID": header} if header else {}
    for method in ("GET", "HEAD"):
        refused = shared_service.client.http.request(method, f"{PATH}?{query}", headers=headers)
        assert refused.status_code == 400
        if method == "GET":
            assert [each["field"] for each in refused.json()["errors"]] == fields


def test_an_id_from_the_future_begins_anew(service: Running) -> None:
    task = service.client.start()
    service.client.wait_for(task, "completed")
    watch = Watch(service.client.http, "9" * 15)
    with watch.connected():
        assert int(watch.events[0].id) < 1_000 * time.time()
        watch.wait_for(task, "completed")


def test_each_owner_sees_its_own(upstream: Upstream) -> None:
    with alices(upstream) as service, httpx.Client(base_url=service.url) as bob:
        bob.headers.update(as_bearer(BOB))
        alices_watch, bobs_watch = Watch(service.client.http), Watch(bob)
        with alices_watch.connected(), bobs_watch.connected():
            bobs = bob.post("/api/tasks/start", json={"prompt": "Hi."}).json()["taskId"]
            mine = service.client.start()
            alices_watch.wait_for(mine, "completed")
            bobs_watch.wait_for(bobs, "completed")
            assert alices_watch.statuses == {mine: "completed"}
            assert bobs_watch.statuses == {bobs: "completed"}


def test_it_takes_a_slot_and_head_takes_none(upstream: Upstream) -> None:
    with alices(upstream, limits="streams=1") as service:
        with Watch(service.client.http).connected():
            refused = httpx.get(service.url + PATH, headers=as_bearer(ALICE))
            assert refused.status_code == 429
            assert refused.json()["type"] == "urn:longtask:problem:too-many-streams"
            for _ in range(3):
                head = httpx.head(service.url + PATH, headers=as_bearer(ALICE))
                assert head.status_code == 200
                assert head.headers["content-type"].startswith("text/event-stream")

        def admitted() -> bool:
            with service.client.http.stream("GET", PATH) as stream:
                return stream.status_code == 200

        eventually(admitted)


def test_a_process_watches_for_so_many_clients(upstream: Upstream) -> None:
    settings = settings_for(openai_base_url=upstream.url, max_streams=1, address_limits="streams=2")
    with running_service(settings) as service, Watch(service.client.http).connected():
        for _ in range(3):  # none of them keeps a slot of its address
            refused = httpx.get(service.url + PATH)
            assert refused.status_code == 503
            assert refused.json()["type"] == "urn:longtask:problem:too-many-streams"
            assert refused.headers["Retry-After"]


def test_it_ends_when_the_service_stops_also_for_a_client_that_reads_nothing(
    upstream: Upstream,
) -> None:
    settings = settings_for(openai_base_url=upstream.url)
    with running_service(settings) as service:
        watch = Watch(service.client.http)
        with connect(service.url, receive_buffer=4096) as stuck:
            stuck.sendall(f"GET {PATH} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            with watch.connected():
                eventually(
                    lambda: "longtask_open_streams 2.0" in httpx.get(f"{service.url}/metrics").text
                )
                service.service.stop()
                assert watch.ended.wait(within(10))


def test_it_ends_when_the_key_is_withdrawn(
    upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(valid_keys, "PAUSE", 0.05)
    keys = tmp_path / "keys"
    keys.write_text(f"{ALICES_ENTRY}\n")
    settings = settings_for(
        openai_base_url=upstream.url, api_keys_file=str(keys), stream_secret=SECRET
    )
    with running_service(settings) as service:
        service.client.http.headers.update(as_bearer(ALICE))
        watch = Watch(service.client.http)
        with watch.connected():
            keys.write_text("# none\n")
            assert watch.ended.wait(within(10))
        eventually(lambda: "longtask_open_streams 0.0" in service.client.http.get("/metrics").text)


@pytest.fixture
def crowded(upstream: Upstream) -> Iterator[Running]:
    with running_service(settings_for(openai_base_url=upstream.url)) as service:
        yield service


def test_a_slow_client_costs_little_and_gets_the_last_status_of_each(
    crowded: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its kernel's buffers fill up, then ours, up to their bound; from then on nothing of a task
    is kept for it but the id, and of more than a few not even that."""
    monkeypatch.setattr(owner_watch, "NOTICES", 10)
    http = crowded.client.http
    connections = crowded.service._server.server_state.connections
    with connect(crowded.url, receive_buffer=4096) as slow:
        slow.sendall(f"GET {PATH} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        slow.recv(10)
        metadata = {f"key {n}": "é" * 500 for n in range(16)}
        tasks: list[str] = []

        def unsent() -> int:
            return max(each.transport.get_write_buffer_size() for each in list(connections))

        while unsent() == 0 or len(tasks) < 30:
            tasks.append(crowded.client.start(metadata=metadata))
            assert len(tasks) < 500
        for task in tasks:
            crowded.client.wait_for(task, "completed")
        http.delete(f"/api/tasks/{tasks[0]}")
        assert unsent() < 200_000
        slow.settimeout(within(20))
        waiting = set(map(_completed, tasks[1:]))
        told, connected, end = 0, 0, b""
        while waiting or connected < 2:  # that a deletion may have been missed
            part = slow.recv(2**16)
            assert part, "the stream ended"
            told += part.count(b'"type":"task"')
            connected += part.count(b'"type":"connected"')
            end = end[-200:] + part
            waiting -= {each for each in waiting if each in end}
        assert told < 3 * len(tasks), "most were told once, when the client read again"


def _completed(task: str) -> bytes:
    return f'"task":{{"taskId":"{task}","status":"completed"'.encode()
