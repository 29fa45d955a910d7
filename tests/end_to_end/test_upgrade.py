"""An old instance while newer ones write to the same Redis: what it cannot read it leaves to them,
task by task."""

from collections.abc import Iterator

import pytest

from tests.doubles.upstream import DONE, Gate, Script, Upstream, finish, piece
from tests.redis_server import LocalRedis, redis_cli
from tests.running import Client, Running, Seen, running_service, settings_for

UNKNOWN = '["z",1,"?"]'
"""An event of a kind that this version does not know."""


@pytest.fixture
def service(own_redis: LocalRedis, upstream: Upstream) -> Iterator[Running]:
    with running_service(settings_for(redis_url=own_redis.url, openai_base_url=upstream.url)) as it:
        yield it


def _write(redis: LocalRedis, command: str, task_id: str, key: str, *words: str) -> None:
    redis_cli("-p", str(redis.port), command, f"longtask:{{{task_id}}}:{key}", *words)


def _serves_others(client: Client) -> None:
    assert client.events(client.start()).types[-1] == "end"


def test_a_record_of_the_next_version_is_unavailable_here(
    service: Running, own_redis: LocalRedis
) -> None:
    client = service.client
    task_id = client.start()
    client.wait_for(task_id, "completed")
    _write(own_redis, "HSET", task_id, "record", "v", "3")
    for method, path in (
        ("GET", f"/api/tasks/{task_id}"),
        ("GET", f"/api/tasks/start?taskId={task_id}"),
        ("GET", f"/api/tasks/stream?taskId={task_id}"),
        ("POST", f"/api/tasks/{task_id}/cancel"),
    ):
        refused = client.http.request(method, path)
        assert refused.status_code == 503
        assert refused.json()["type"] == "urn:longtask:problem:unreadable-task"
        assert int(refused.headers["Retry-After"]) > 0
    _serves_others(client)


def test_an_unknown_event_that_is_read_ends_that_stream(
    service: Running, own_redis: LocalRedis, upstream: Upstream
) -> None:
    client, gate = service.client, Gate()
    upstream.then(Script([piece("One"), gate, piece(" two"), finish(), DONE]))
    task_id = client.start()
    seen = client.events(task_id, until=lambda seen: seen.text == "One")
    _write(own_redis, "RPUSH", task_id, "log", UNKNOWN)
    for last in ("", seen.logged[-1].id):
        assert client.events(task_id, after=last).types == ["connected"]
    refused = client.http.get(f"/api/tasks/{task_id}")
    assert refused.status_code == 503
    assert refused.json()["type"] == "urn:longtask:problem:unreadable-task"
    _serves_others(client)
    gate.open()


def test_an_unknown_event_that_is_published_ends_that_stream(
    service: Running, own_redis: LocalRedis, upstream: Upstream
) -> None:
    """A reader of another task goes on, without so much as a look into the log."""
    client, gates = service.client, (Gate(), Gate())
    for gate in gates:
        upstream.then(Script([piece("One"), gate, piece(" two"), finish(), DONE]))
    task_id, other = client.start(), client.start()

    def go_on(seen: Seen) -> bool:
        if seen.text == "One":
            stream = client.events(task_id, until=publish)
            assert (stream.text, stream.types[-1]) == ("One", "content")
            for gate in gates:
                gate.open()
        return False

    def publish(seen: Seen) -> bool:
        if seen.text == "One":
            _write(own_redis, "PUBLISH", task_id, "events", f"1 e e 4 [{UNKNOWN}]")
        return False

    whole = client.events(other, until=go_on)
    assert (whole.text, whole.types[-1]) == ("One two", "end")
    metrics = client.http.get("/metrics").text
    assert "longtask_missed_events_total 0.0" in metrics
    assert "longtask_feed_reconnects_total 0.0" in metrics
    # Nothing unknown is in the log.
    assert client.events(task_id).text == "One two"
