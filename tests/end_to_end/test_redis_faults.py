"""A real Redis that is stopped, frozen, full, read-only or locked: nothing accepted is lost, what
is wrong is told, and when it is right again the service goes on without a restart."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import pytest

from tests.doubles.upstream import DONE, Gate, Script, Upstream, finish, piece
from tests.redis_server import LocalRedis, redis_cli
from tests.running import Client, Running, Seen, follow, running_service, settings_for
from tests.waiting import eventually, within


@contextmanager
def _service(url: str, upstream: Upstream) -> Iterator[Running]:
    settings = settings_for(
        redis_url=url, openai_base_url=upstream.url, redis_timeout=2.0, qstash_retry_delay="50"
    )
    with running_service(settings) as service:
        yield service


def _readiness(client: Client) -> tuple[int, str]:
    answer = client.http.get("/readyz")
    return answer.status_code, answer.json()["checks"]["store"]


def _is_ready(client: Client) -> bool:
    return _readiness(client) == (200, "ok")


def _is_refused(client: Client, reason: str) -> None:
    """A start says 503 and leaves nothing behind; readiness says why."""
    eventually(lambda: _readiness(client) == (503, reason))  # the last answer is kept a moment
    refused = client.http.post("/api/tasks/start", json={"prompt": "Hi."})
    assert refused.status_code == 503
    assert refused.json()["type"] == "urn:longtask:problem:store-unavailable"
    assert refused.headers["Retry-After"]
    assert client.http.get("/healthz").status_code == 200


@contextmanager
def _following(client: Client, task_id: str) -> Iterator[Seen]:
    """One connection that stays open over whatever happens meanwhile; whole at the end."""
    whole = Seen()

    def note(seen: Seen) -> bool:
        whole.events.append(seen.events[-1])
        return False

    def follow() -> None:
        client.events(task_id, until=note)

    thread = Thread(target=follow)
    thread.start()
    yield whole
    thread.join(within(30))
    assert not thread.is_alive(), "the stream did not end"


def _is_whole(seen: Seen, text: str, attempts: int = 1) -> None:
    numbers = [int(event.id.rpartition("-")[2]) for event in seen.logged]
    assert numbers == list(range(1, len(numbers) + 1))
    assert seen.text == text == seen.logged[-1].data["data"]
    assert sum(event.data["data"] == "running" for event in seen.logged) == attempts


def test_a_redis_that_comes_up_later(upstream: Upstream) -> None:
    redis = LocalRedis()
    with _service(redis.url, upstream) as service:
        _is_refused(service.client, "Redis cannot be reached")
        with redis.running():
            eventually(lambda: _is_ready(service.client))
            assert service.client.events(service.client.start()).types[-1] == "end"


def test_a_redis_that_is_killed_under_a_running_task(
    own_redis: LocalRedis, upstream: Upstream
) -> None:
    before, after = Gate(), Gate()
    upstream.then(Script([piece("One"), before, piece(" two"), after, finish(), DONE]))
    with _service(own_redis.url, upstream) as service:
        task_id = service.client.start()
        with _following(service.client, task_id) as seen:
            eventually(lambda: seen.text == "One")
            own_redis.kill()
            before.open()
            assert after.reached.wait(within(10))
            _is_refused(service.client, "Redis cannot be reached")
            own_redis.start()
            eventually(lambda: seen.text == "One two")
            after.open()
        _is_whole(seen, "One two")
        assert len(upstream.received) == 1, "the answer was paid for twice"
        assert service.client.events(task_id).logged == seen.logged


@pytest.mark.soak
def test_a_redis_that_freezes_under_a_running_task(
    own_redis: LocalRedis, upstream: Upstream
) -> None:
    before, after = Gate(), Gate()
    upstream.then(Script([piece("One"), before, piece(" two"), after, finish(), DONE]))
    with _service(own_redis.url, upstream) as service:
        task_id = service.client.start()
        with _following(service.client, task_id) as seen:
            eventually(lambda: seen.text == "One")
            with own_redis.frozen():
                before.open()
                assert after.reached.wait(within(10))
                assert _readiness(service.client) == (503, "Redis cannot be reached")
            eventually(lambda: seen.text == "One two")
            after.open()
        _is_whole(seen, "One two")
        assert len(upstream.received) == 1


def test_a_redis_that_lost_everything_under_a_running_task(upstream: Upstream) -> None:
    """The delivery holds the request: the task is made anew, and its log is another one."""
    gate = Gate()
    upstream.then(Script([piece("Lost"), gate, piece(" piece"), finish(), DONE]))
    with LocalRedis().running() as redis, _service(redis.url, upstream) as service:
        task_id = service.client.start()
        # A reader that comes before the task is made anew meets no record: it comes again.
        reading, seen = follow(service.url, task_id)
        eventually(lambda: seen.text == "Lost")
        redis.kill()
        redis.start()
        gate.open()
        reading.join(within(30))
        (anew,) = [at for at, event in enumerate(seen.logged) if at and event.id.endswith("-1")]
        _is_whole(Seen(seen.logged[anew:]), "Hello, world.")
        assert service.client.record(task_id)["status"] == "completed"


def test_a_full_redis_takes_no_task_and_loses_none(
    own_redis: LocalRedis, upstream: Upstream
) -> None:
    def limit(memory: str) -> None:
        redis_cli("-p", str(own_redis.port), "config", "set", "maxmemory", memory)

    before, after = Gate(), Gate()
    upstream.then(Script([piece("One"), before, piece(" two"), after, finish(), DONE]))
    with _service(own_redis.url, upstream) as service:
        task_id = service.client.start()
        with _following(service.client, task_id) as seen:
            eventually(lambda: seen.text == "One")
            limit("1")
            before.open()
            assert after.reached.wait(within(10))
            _is_refused(service.client, "Redis has reached its maxmemory")
            limit("0")
            after.open()
        _is_whole(seen, "One two")
        eventually(lambda: _is_ready(service.client))


def test_deleting_frees_a_full_redis(own_redis: LocalRedis, upstream: Upstream) -> None:
    with _service(own_redis.url, upstream) as service:
        task_id = service.client.start()
        service.client.wait_for(task_id, "completed")
        redis_cli("-p", str(own_redis.port), "config", "set", "maxmemory", "1")
        assert service.client.http.delete(f"/api/tasks/{task_id}").status_code == 204
        assert service.client.http.get(f"/api/tasks/{task_id}").status_code == 404


def test_a_read_only_replica_is_told_and_a_promoted_one_works(upstream: Upstream) -> None:
    with (
        LocalRedis("--replicaof", "127.0.0.1", "1").running() as redis,
        _service(redis.url, upstream) as service,
    ):
        _is_refused(service.client, "Redis is a read-only replica")
        redis_cli("-p", str(redis.port), "replicaof", "no", "one")
        eventually(lambda: _is_ready(service.client))
        assert service.client.events(service.client.start()).types[-1] == "end"


@pytest.mark.parametrize(
    ("login", "reason"),
    [
        ("", "Redis wants a password"),
        (":planted-wrong@", "Redis refuses the user name or password"),
    ],
)
def test_a_locked_redis(
    upstream: Upstream, caplog: pytest.LogCaptureFixture, login: str, reason: str
) -> None:
    with LocalRedis("--requirepass", "planted-right").running() as redis:
        where = redis.url.removeprefix("redis://")
        with _service(f"redis://{login}{where}", upstream) as service:
            _is_refused(service.client, reason)
        with _service(f"redis://:planted-right@{where}", upstream) as service:
            assert service.client.events(service.client.start()).types[-1] == "end"
    assert reason in caplog.text
    assert "planted" not in caplog.text


def _evict_log(redis: LocalRedis, task_id: str) -> None:
    assert redis_cli("-p", str(redis.port), "del", f"longtask:{{{task_id}}}:log").strip() == "1"


def test_a_reader_of_a_task_whose_log_was_evicted_is_told_once(
    own_redis: LocalRedis, upstream: Upstream
) -> None:
    with _service(own_redis.url, upstream) as service:
        client = service.client
        task_id = client.start()
        whole = client.events(task_id)
        _evict_log(own_redis, task_id)
        for last in ("", whole.logged[0].id, whole.logged[-1].id):
            told = client.events(task_id, after=last)
            assert told.types == ["connected", "error"]
            error = told.events[-1]
            assert (error.data["code"], error.data["retryable"]) == ("log_lost", True)
            assert client.events(task_id, after=error.id).status == 204
        assert client.record(task_id)["status"] == "completed"


def test_a_running_task_whose_log_was_evicted_begins_anew(
    own_redis: LocalRedis, upstream: Upstream
) -> None:
    gate = Gate()
    upstream.then(Script([piece("Lost"), gate, piece(" piece"), finish(), DONE]))
    with _service(own_redis.url, upstream) as service:
        task_id = service.client.start()
        with _following(service.client, task_id) as seen:
            eventually(lambda: seen.text == "Lost")
            _evict_log(own_redis, task_id)
            gate.open()
        (anew,) = [at for at, event in enumerate(seen.logged) if at and event.id.endswith("-1")]
        _is_whole(Seen(seen.logged[anew:]), "Hello, world.")
        assert len({event.id for event in seen.logged}) == len(seen.logged)
        assert [e.id for e in service.client.events(task_id).logged] == [
            event.id for event in seen.logged[anew:]
        ]
