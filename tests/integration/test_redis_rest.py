"""Redis over Upstash's REST API, and what breaks on that way."""

import asyncio
from collections.abc import Iterable

import pytest

from adapters.redis import (
    RestConnection,
)
from adapters.redis import rest as rest_module
from application.cancellation import end_tasks
from application.errors import StoreUnavailable
from domain.events import fold
from tests.builders import begun
from tests.doubles.readers import (
    subscribed,
)
from tests.doubles.rest_front import TOKEN, RestFront
from tests.integration.redis_bench import on_redis
from tests.waiting import eventually, within


def _over_rest(front: RestFront, token: str = TOKEN) -> RestConnection:
    return RestConnection(front.url, token, connections=10, timeout=2.0)


async def test_delivery_goes_on_after_a_stream_that_was_cut(rest_front: RestFront) -> None:
    async with on_redis(_over_rest(rest_front)) as bench:
        attempt = await begun(bench.tasks)
        async with subscribed(bench.feed, attempt.task.id) as subscriber:
            rest_front.cut()
            await subscriber.miss()
            attempt = await bench.add(attempt, "after")
            await subscriber.receive(1)


async def test_followers_over_rest_miss_nothing_while_streams_are_cut(
    rest_front: RestFront,
) -> None:
    async with on_redis(_over_rest(rest_front)) as bench:
        attempt = await begun(bench.tasks)
        following = [asyncio.create_task(bench.follow(attempt.task.id)) for _ in range(2)]
        text = ""
        for number in range(60):
            attempt = await bench.add(attempt, f"{number} ")
            text += f"{number} "
            if number % 20 == 10:
                rest_front.cut()
        await bench.end(attempt, text)
        async with asyncio.timeout(within(20)):
            one, two = await asyncio.gather(*following)
        assert one == two
        assert fold(one).answer.text == text


async def test_a_stream_that_falls_silent_is_opened_anew(
    rest_front: RestFront, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rest_module, "PROBE_INTERVAL", 0.2)
    async with on_redis(_over_rest(rest_front)) as bench:
        attempt = await begun(bench.tasks)
        async with subscribed(bench.feed, attempt.task.id) as subscriber:
            opened = rest_front.opened
            await asyncio.sleep(1.5)
            assert subscriber.misses == 0, "probes must keep a good stream alive"
            assert rest_front.opened == opened
            rest_front.silent.set()
            await asyncio.sleep(0.3)
            attempt = await bench.add(attempt, "unheard")
            await asyncio.to_thread(eventually, lambda: rest_front.refused > 0)
            rest_front.silent.clear()
            await subscriber.miss()
            assert rest_front.opened > opened
            await bench.add(attempt, "heard")
            await subscriber.receive(1)


@pytest.mark.parametrize(
    ("path", "token", "reason"),
    [
        ("", "wrong", "Redis's REST API refuses the token"),
        ("/healthz", TOKEN, "What responds is not Redis's REST API"),
    ],
)
async def test_a_wrong_token_or_address_is_told(
    rest_front: RestFront, path: str, token: str, reason: str
) -> None:
    connection = RestConnection(rest_front.url + path, token, connections=1, timeout=2.0)
    async with on_redis(connection) as bench:
        with pytest.raises(StoreUnavailable) as told:
            await bench.tasks.check()
        assert told.value.reason == reason


async def test_a_rest_api_that_is_not_there_is_told() -> None:
    async with on_redis(
        RestConnection("http://127.0.0.1:1", TOKEN, connections=1, timeout=2.0)
    ) as b:
        with pytest.raises(StoreUnavailable) as told:
            await b.tasks.check()
        assert told.value.reason == "Redis's REST API cannot be reached"


async def test_a_stream_that_is_wanted_again_while_it_ends_is_opened_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two streams of one channel would deliver everything twice."""
    monkeypatch.setattr(rest_module, "PROBE_INTERVAL", 0.01)
    again = asyncio.Event()

    async def end_late(tasks: Iterable[asyncio.Task[None]]) -> None:
        await end_tasks(tasks)
        if not again.is_set():
            again.set()
            await listener.unsubscribe(["channel"])
            await listener.subscribe(["channel"])
            monkeypatch.setattr(rest_module, "PROBE_INTERVAL", 60.0)

    monkeypatch.setattr(rest_module, "end_tasks", end_late)
    connection = RestConnection("http://127.0.0.1:1", TOKEN, connections=1, timeout=1.0)
    listener = await connection.listen()
    try:
        await listener.subscribe(["channel"])
        async with asyncio.timeout(within(5)):
            await again.wait()
        for _ in range(20):
            await asyncio.sleep(0)
        reading = [each for each in asyncio.all_tasks() if "._read" in repr(each.get_coro())]
        assert len(reading) == 1
    finally:
        await listener.aclose()
        await connection.aclose()
