"""One key, one task: on two instances over one Redis, at once, and after the task is gone."""

import asyncio
from collections.abc import Iterator

import httpx
import pytest
from redis import Redis

from application.ports import ABANDONED_AFTER
from tests.doubles.upstream import Upstream
from tests.end_to_end.test_bad_input import fields_at_fault
from tests.redis_server import LocalRedis
from tests.running import Running, running_service, settings_for
from tests.waiting import eventually, within

ROUNDS, AT_ONCE = 15, 20


@pytest.fixture
def redis(own_redis: LocalRedis) -> Iterator[Redis]:
    with Redis.from_url(own_redis.url) as client:
        yield client


def _start(service: Running, key: str, prompt: str = "Hi.") -> httpx.Response:
    return service.client.http.post(
        "/api/tasks/start", json={"prompt": prompt}, headers={"Idempotency-Key": key}
    )


async def _at_once(services: list[Running], key: str) -> list[httpx.Response]:
    async with httpx.AsyncClient(timeout=within(20.0)) as client:
        return await asyncio.gather(
            *(
                client.post(
                    f"{services[number % 2].url}/api/tasks/start",
                    json={"prompt": "Hi."},
                    headers={"Idempotency-Key": key},
                )
                for number in range(AT_ONCE)
            )
        )


@pytest.mark.soak
@pytest.mark.parametrize("starts", [0, 1])
def test_equal_starts_on_two_instances_pass_a_limit_once(
    own_redis: LocalRedis, redis: Redis, upstream: Upstream, starts: int
) -> None:
    """Twenty at once, over and over: one of them makes the task, the others are told the same."""
    settings = settings_for(
        redis_url=own_redis.url, openai_base_url=upstream.url, address_limits="starts=1"
    )
    with running_service(settings) as one, running_service(settings) as two:
        for number in range(ROUNDS):
            redis.delete("longtask:limit:starts:address:127.0.0.1")  # a minute later
            if starts == 0:
                assert _start(one, f"another-{number}").status_code == 202
            before = set(redis.keys("longtask:*:record"))
            responses = asyncio.run(_at_once([one, two], f"key-{number}"))
            accepted = [each.json()["taskId"] for each in responses if each.status_code == 202]
            assert {each.status_code for each in responses} <= {202, 429}
            assert len(set(accepted)) == starts
            assert len(set(redis.keys("longtask:*:record")) - before) == starts


def test_a_repeat_after_the_time_to_live_is_a_new_start_that_is_run(
    own_redis: LocalRedis, redis: Redis, upstream: Upstream
) -> None:
    settings = settings_for(redis_url=own_redis.url, openai_base_url=upstream.url)
    with running_service(settings) as service:
        first = _start(service, "k").json()["taskId"]
        service.client.wait_for(first, "completed")
        redis.delete(*redis.keys(f"longtask:{{{first}}}:*"))  # as when its time to live is over
        _grow_older(redis)
        second = _start(service, "k").json()["taskId"]
        assert second != first
        service.client.wait_for(second, "completed")
        assert _start(service, "k").json()["taskId"] == second
        assert _start(service, "k", "Another.").status_code == 422
        assert len(upstream.received) == 2


@pytest.mark.soak
def test_a_start_whose_key_holds_no_task_yet_is_told_to_come_again(
    own_redis: LocalRedis, redis: Redis, upstream: Upstream
) -> None:
    """The process that had the key died before it wrote the record."""
    settings = settings_for(redis_url=own_redis.url, openai_base_url=upstream.url)
    with running_service(settings) as service:
        first = _start(service, "k").json()["taskId"]
        service.client.wait_for(first, "completed")
        redis.delete(*redis.keys(f"longtask:{{{first}}}:*"))
        waiting = _start(service, "k")
        assert waiting.status_code == 503
        assert waiting.json()["type"] == "urn:longtask:problem:start-uncertain"
        assert 1 <= int(waiting.headers["Retry-After"]) <= 5
        _grow_older(redis)
        assert _start(service, "k").status_code == 202


def test_the_key_of_a_failed_task_is_free(
    own_redis: LocalRedis, redis: Redis, upstream: Upstream
) -> None:
    settings = settings_for(
        redis_url=own_redis.url, openai_base_url=upstream.url, max_output_chars=1, qstash_retries=0
    )
    with running_service(settings) as service:
        first = _start(service, "k").json()["taskId"]
        eventually(lambda: service.client.record(first)["status"] == "failed")
        assert _start(service, "k", "Another.").json()["taskId"] != first


def _grow_older(redis: Redis) -> None:
    """Let a minute pass for the one key that is bound."""
    (name,) = redis.keys("longtask:idempotency-key:*")
    value = redis.get(name)
    assert isinstance(value, bytes)
    fingerprint, task_id, since = value.decode().split()
    earlier = int(since) - int(ABANDONED_AFTER * 1000) - 1_000
    redis.set(name, f"{fingerprint} {task_id} {earlier}", keepttl=True)


def test_an_idempotency_key_makes_one_task_of_two_requests(service: Running) -> None:
    http, headers = service.client.http, {"Idempotency-Key": "order-7"}
    first = http.post("/api/tasks/start", json={"prompt": "Hi."}, headers=headers)
    second = http.post("/api/tasks/start", json={"prompt": "Hi."}, headers=headers)
    assert first.status_code == second.status_code == 202
    assert first.json()["taskId"] == second.json()["taskId"]
    assert first.json()["messageId"] == second.json()["messageId"]
    other = http.post("/api/tasks/start", json={"prompt": "Ho."}, headers=headers)
    assert fields_at_fault(other, 422) == {"Idempotency-Key"}
    long = http.post(
        "/api/tasks/start", json={"prompt": "Hi."}, headers={"Idempotency-Key": "x" * 256}
    )
    assert fields_at_fault(long) == {"Idempotency-Key"}
    wrong = {"prompt": "", "model": 7, "maxTokens": 1.5}
    both = http.post("/api/tasks/start", json=wrong, headers={"Idempotency-Key": "x" * 256})
    assert fields_at_fault(both) == {"Idempotency-Key", "prompt", "model", "maxTokens"}
    both = http.post(
        "/api/tasks/start", json={"prompt": ""}, headers={"Idempotency-Key": "x" * 256}
    )
    assert fields_at_fault(both) == {"Idempotency-Key", "prompt"}
