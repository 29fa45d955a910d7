"""How much each key and each address may: counted in the store, so over all instances."""

import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import httpx
import pytest
from redis import Redis

from entrypoints.api_keys import new_key
from tests.doubles.upstream import (
    DONE,
    USAGE,
    Gate,
    Script,
    Upstream,
    answer,
    finish,
    piece,
    refusal,
)
from tests.running import Running, follow, running_service, settings_for
from tests.waiting import eventually, within

ALICE, ALICES_ENTRY = new_key("alice")
BOB, BOBS_ENTRY = new_key("bob")
KEYS = {
    "api_keys": f"{ALICES_ENTRY},{BOBS_ENTRY}",
    "stream_secret": "a secret of forty characters, or even more",
}


@contextmanager
def instances(upstream: Upstream, redis_url: str, count: int = 2, **limits: Any) -> Iterator[Any]:
    """Several, over one Redis; their clients are Alice's."""
    httpx_settings = {"openai_base_url": upstream.url, "redis_url": redis_url, **KEYS, **limits}
    with ExitStack() as stack:
        services = [
            stack.enter_context(running_service(settings_for(**httpx_settings)))
            for _ in range(count)
        ]
        for service in services:
            service.client.http.headers["Authorization"] = f"Bearer {ALICE}"
        yield services


@pytest.fixture
def emptied_redis(redis_url: str) -> str:
    parts = httpx.URL(redis_url)
    with socket.create_connection((parts.host, parts.port or 6379)) as connection:
        connection.sendall(b"FLUSHALL\r\n")
        assert connection.recv(100).startswith(b"+OK")
    return redis_url


def start(service: Running, key: str = ALICE, **headers: str) -> httpx.Response:
    return httpx.post(
        f"{service.url}/api/tasks/start",
        json={"prompt": "Hi."},
        headers={"Authorization": f"Bearer {key}", **headers},
    )


def is_refused(service: Running) -> bool:
    return start(service).status_code == 429


def refused(response: httpx.Response, policy: str) -> None:
    assert response.status_code == 429, response.text
    what = policy.partition("-per-")[0]
    assert response.json()["type"] == f"urn:longtask:problem:too-many-{what}"
    assert int(response.headers["Retry-After"]) >= 1
    assert f'"{policy}";q=' in response.headers["RateLimit-Policy"]
    assert f'"{policy}";r=0;t=' in response.headers["RateLimit"]


def test_starts_of_a_key_are_counted_over_all_instances(
    upstream: Upstream, emptied_redis: str
) -> None:
    with instances(upstream, emptied_redis, limits="starts=5") as services:
        answers = [start(services[n % 2]) for n in range(5)]
        assert [each.status_code for each in answers] == [202] * 5
        left = [re.findall(r";r=(\d+)", each.headers["RateLimit"]) for each in answers]
        assert left == [["4"], ["3"], ["2"], ["1"], ["0"]]
        assert answers[0].headers["RateLimit-Policy"] == '"starts-per-key";q=5;w=60'
        for service in services:
            refused(start(service), "starts-per-key")
        assert start(services[0], BOB).status_code == 202


def test_the_same_start_again_is_not_counted_again(upstream: Upstream, emptied_redis: str) -> None:
    with instances(upstream, emptied_redis, 1, limits="starts=1") as (service,):
        first = start(service, **{"Idempotency-Key": "k"})
        again = start(service, **{"Idempotency-Key": "k"})
        assert first.json()["taskId"] == again.json()["taskId"]
        refused(start(service, **{"Idempotency-Key": "another"}), "starts-per-key")


@pytest.mark.soak
def test_a_refused_start_leaves_its_key_free_and_no_task(
    upstream: Upstream, emptied_redis: str
) -> None:
    gate = Gate()
    upstream.then(Script([piece("a"), gate, finish(), DONE]))
    with instances(upstream, emptied_redis, 1, limits="running=1") as (service,):
        first = start(service).json()["taskId"]
        refused(start(service, **{"Idempotency-Key": "k"}), "running-per-key")
        gate.open()
        service.client.wait_for(first, "completed")
        assert start(service, **{"Idempotency-Key": "k"}).status_code == 202


@pytest.mark.soak
def test_tasks_that_have_not_ended_are_counted_however_they_end(
    upstream: Upstream, emptied_redis: str
) -> None:
    gates = [Gate() for _ in range(2)]
    upstream.then(*(Script([piece("a"), gate, finish(), DONE]) for gate in gates))
    with instances(upstream, emptied_redis, limits="running=2") as services:
        tasks = [start(services[n]).json()["taskId"] for n in range(2)]
        for service in services:
            refused(start(service), "running-per-key")
        assert start(services[0], BOB).status_code == 202
        assert services[1].client.http.post(f"/api/tasks/{tasks[0]}/cancel").status_code == 202
        third = start(services[0])
        assert third.status_code == 202, "a cancelled one has left its place"
        for gate in gates:
            gate.open()
        services[0].client.wait_for(tasks[1], "completed")
        services[0].client.wait_for(third.json()["taskId"], "completed")
        assert start(services[1]).status_code == 202


@pytest.mark.soak
def test_open_streams_are_counted_until_they_end(upstream: Upstream, emptied_redis: str) -> None:
    gate = Gate()
    upstream.then(Script([piece("a"), gate, finish(), DONE]))
    with instances(upstream, emptied_redis, limits="streams=1") as services:
        task = services[0].client.start()
        path = f"/api/tasks/stream?taskId={task}"
        with services[0].client.http.stream("GET", path) as stream:
            lines = stream.iter_lines()  # letting go of it would close the stream
            assert any('"data":"a"' in line for line in lines)
            for service in services:
                refused(service.client.http.get(path), "streams-per-key")
                link = service.client.record(task)["streamUrl"]
                refused(httpx.get(service.url + link), "streams-per-key")

        def let_in() -> bool:
            with services[1].client.http.stream("GET", path) as again:
                return bool(again.status_code == 200)

        eventually(let_in)
        gate.open()


@pytest.mark.soak
def test_tokens_of_a_day_are_what_the_model_counted(upstream: Upstream, emptied_redis: str) -> None:
    with instances(upstream, emptied_redis, limits="tokens=10") as services:
        for service in services:  # 8 tokens each
            begun = start(service)
            assert begun.status_code == 202
            assert '"tokens-per-key";q=10;w=86400' in begun.headers["RateLimit-Policy"]
            service.client.wait_for(begun.json()["taskId"], "completed")

        for service in services:  # counted a moment after the end
            eventually(partial(is_refused, service))
            refused(start(service), "tokens-per-key")
        assert start(services[0], BOB).status_code == 202


def test_an_attempt_that_was_cancelled_has_cost_something_too(
    upstream: Upstream, emptied_redis: str
) -> None:
    gate = Gate()
    upstream.then(Script([piece("x" * 4_000), gate, finish(), USAGE, DONE]))
    with instances(upstream, emptied_redis, 1, limits="tokens=1000") as (service,):
        task = start(service).json()["taskId"]
        assert gate.reached.wait(within(10))
        assert service.client.http.post(f"/api/tasks/{task}/cancel").status_code == 202
        eventually(lambda: start(service).status_code == 429)


def test_a_prompt_is_charged_though_no_piece_of_the_answer_came(
    upstream: Upstream, emptied_redis: str
) -> None:
    gate = Gate()
    upstream.then(Script([gate]))
    with instances(upstream, emptied_redis, 1, limits="tokens=22500") as (service,):
        task = service.client.start("x" * 90_000)
        assert gate.reached.wait(within(10))
        assert service.client.http.post(f"/api/tasks/{task}/cancel").status_code == 202
        eventually(lambda: start(service).status_code == 429)


def test_a_prompt_that_the_model_refused_costs_nothing(
    upstream: Upstream, emptied_redis: str
) -> None:
    upstream.then(refusal(401), Script(answer("a")))
    with instances(upstream, emptied_redis, 1, limits="tokens=30000") as (service,):
        service.client.wait_for(service.client.start("x" * 90_000), "failed")
        service.client.wait_for(service.client.start(), "completed")

        def left() -> str:
            return start(service).headers["RateLimit"].partition(";r=")[2].partition(";")[0]

        # Charges come a moment after the end and in order: those of the others are few.
        assert int(eventually(lambda: left().replace("30000", ""))) > 29_000


def test_an_address_is_limited_whatever_keys_it_has(upstream: Upstream, emptied_redis: str) -> None:
    limits = {"address_limits": "starts=2", "trusted_proxies": "127.0.0.1"}
    with instances(upstream, emptied_redis, 1, **limits) as (service,):
        here = {"X-Forwarded-For": "203.0.113.7"}
        assert start(service, ALICE, **here).status_code == 202
        assert start(service, BOB, **here).status_code == 202
        refused(start(service, ALICE, **here), "starts-per-address")
        assert start(service, ALICE, **{"X-Forwarded-For": "203.0.113.8"}).status_code == 202
        six = [{"X-Forwarded-For": f"2001:db8:1:2::{n}"} for n in range(3)]
        assert [start(service, **each).status_code for each in six] == [202, 202, 429]


def test_who_forwards_without_our_trust_is_taken_for_itself(
    upstream: Upstream, emptied_redis: str
) -> None:
    with instances(upstream, emptied_redis, 1, address_limits="starts=2") as (service,):
        forged = [{"X-Forwarded-For": f"203.0.113.{n}"} for n in range(3)]
        assert [start(service, **each).status_code for each in forged] == [202, 202, 429]


def test_tokens_of_an_address_are_counted(upstream: Upstream, emptied_redis: str) -> None:
    upstream.then(Script([piece("x" * 400), finish(), DONE]))
    with instances(upstream, emptied_redis, 1, address_limits="tokens=50") as (service,):
        task = start(service).json()["taskId"]
        service.client.wait_for(task, "completed")
        eventually(lambda: start(service).status_code == 429)


def test_limits_hold_on_the_embedded_default_too(upstream: Upstream) -> None:
    settings = settings_for(openai_base_url=upstream.url, address_limits="starts=1,streams=1")
    with running_service(settings) as service:
        task = service.client.start()
        thread, seen = follow(service.url, task)
        thread.join(within(10))
        assert seen.text == "Hello, world."
        refused(
            service.client.http.post("/api/tasks/start", json={"prompt": "Hi."}),
            "starts-per-address",
        )


def test_a_stream_over_its_keys_limit_takes_no_slot_of_the_process(
    upstream: Upstream, emptied_redis: str
) -> None:
    gate = Gate()
    upstream.then(Script([piece("a"), gate, finish(), DONE]))
    with instances(upstream, emptied_redis, 1, limits="streams=1", max_streams=2) as (service,):
        path = f"/api/tasks/stream?taskId={service.client.start()}"
        with service.client.http.stream("GET", path) as stream:
            assert stream.status_code == 200
            for _ in range(3):
                refused(service.client.http.get(path), "streams-per-key")
        gate.open()


@pytest.mark.parametrize("whose", ["limits", "address_limits"])
def test_a_task_gives_its_place_back_when_it_ends(
    upstream: Upstream, emptied_redis: str, whose: str
) -> None:
    """Not when another start needs it: the store then holds no place of it any more."""
    gate = Gate()
    upstream.then(Script([piece("a"), finish(), DONE]), Script([piece("b"), gate, finish(), DONE]))
    with (
        instances(upstream, emptied_redis, 1, **{whose: "running=5"}) as (service,),
        Redis.from_url(emptied_redis) as redis,
    ):

        def held() -> list[bytes]:
            return [
                holder
                for name in redis.keys("longtask:limit:running:*")
                for holder in redis.zrange(name, 0, -1)
            ]

        completed = start(service).json()["taskId"]
        service.client.wait_for(completed, "completed")
        eventually(lambda: held() == [])
        cancelled = start(service).json()["taskId"]
        assert gate.reached.wait(within(10))
        assert held() == [cancelled.encode()]
        assert service.client.http.post(f"/api/tasks/{cancelled}/cancel").status_code == 202
        assert held() == []
