"""A local QStash with a file is killed at random while it is used. What it has answered holds, and
what it has shown as ended has ended."""

import asyncio
import random
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from adapters.qstash import DEVELOPMENT
from tests.integration.queue_visits import Visit, Visits, visited
from tests.processes import found_in, process_of
from tests.waiting import until

LIVES = 3
PAUSE, DELAY, RATE = 0.2, 2.0, 10
"""Seconds between retries, seconds of what is delayed, deliveries in a second."""
GIVEN_UP = {"dead": 2, "final": 1}
"""How often these are tried."""
CALLBACK, FAILURE = "/ok/told/", "/ok/failed/"


@dataclass
class Used:
    """What a client does with the processes, and what they have answered."""

    visits: Visits
    client: httpx.AsyncClient
    chance: random.Random = field(default_factory=lambda: random.Random(28))
    url: str = ""
    stopping: bool = False
    numbers: "count[int]" = field(default_factory=count)
    accepted: dict[str, str] = field(default_factory=dict)
    """The paths by the ids of the messages, but for those of retried dead letters."""
    delayed: dict[str, float] = field(default_factory=dict)
    """When they were published."""
    known_as: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """The ids that were answered for each deduplication id, which is a path."""
    ended: dict[str, float] = field(default_factory=dict)
    """When it was seen at the latest that a message has ended."""
    cancelled: set[str] = field(default_factory=set)

    async def call(self, method: str, path: str, **more: Any) -> Any:
        """Raises httpx.HTTPError if the process was killed before it had answered."""
        return (await self.client.request(method, self.url + path, **more)).json()

    def fresh(self, group: str, *plans: str) -> str:
        return f"/{self.chance.choice(plans)}/{group}/{next(self.numbers)}"

    def headers(self, path: str) -> dict[str, str]:
        retries = GIVEN_UP.get(path.split("/")[1], 4) - 1
        told = {"Callback": CALLBACK, "Failure-Callback": FAILURE}
        return {
            "Upstash-Retries": str(retries),
            "Upstash-Retry-Delay": str(int(PAUSE * 1000)),
            **{f"Upstash-{name}": self.visits.url + path for name, path in told.items()},
        }

    async def publish(self, path: str, to: str = "publish", **more: str) -> str:
        headers = self.headers(path) | {name.replace("_", "-"): each for name, each in more.items()}
        url = f"/v2/{to}/{self.visits.url}{path}"
        answer = await self.call("POST", url, headers=headers, content=path)
        self.accepted[answer["messageId"]] = path
        return str(answer["messageId"])

    async def batch(self) -> None:
        plans = ("ok", "slow", "fail1", "fail2", "dead")
        await self.publish_all([self.fresh("batch", *plans) for _ in range(10)], {})

    async def publish_all(self, paths: list[str], more: dict[str, str]) -> None:
        entries = [
            {
                "destination": self.visits.url + each,
                "headers": self.headers(each) | more,
                "body": each,
            }
            for each in paths
        ]
        answers = await self.call("POST", "/v2/batch", json=entries)
        self.accepted.update(
            {each["messageId"]: path for path, each in zip(paths, answers, strict=True)}
        )

    async def enqueue(self) -> None:
        await self.publish(self.fresh("q", "ok", "slow", "fail1", "dead"), "enqueue/q")

    async def limit(self) -> None:
        for group, limits in (("three", "parallelism=3"), ("rated", f"rate={RATE}")):
            flow = {"Upstash-Flow-Control-Key": group, "Upstash-Flow-Control-Value": limits}
            await self.publish_all([self.fresh(group, "slow", "fail1") for _ in range(4)], flow)

    async def delay(self) -> None:
        at = time.monotonic()
        message_id = await self.publish(self.fresh("late", "ok"), Upstash_Delay=f"{DELAY:g}s")
        self.delayed[message_id] = at
        if self.chance.random() < 0.5:
            del self.accepted[message_id]  # perhaps it is cancelled although that is not answered
            await self.call("DELETE", f"/v2/messages/{message_id}")
            if time.monotonic() < at + DELAY:
                self.cancelled.add(message_id)

    async def name(self) -> None:
        """The same publish until it is answered twice."""
        path, answered = self.fresh("named", "ok", "fail1"), 0
        while answered < 2:
            try:
                named = {"Upstash_Deduplication_Id": path}
                self.known_as[path].add(await self.publish(path, **named))
                answered += 1
            except httpx.HTTPError:
                await asyncio.sleep(0.05)

    async def give_up(self) -> None:
        await self.publish(self.fresh("given-up", "dead", "final"))
        letters = (await self.call("GET", "/v2/dlq"))["messages"]
        self.see(letters)
        if letters and self.chance.random() < 0.5:
            await self.call("POST", f"/v2/dlq/retry/{self.chance.choice(letters)['dlqId']}")

    async def look(self) -> None:
        state = self.chance.choice(["DELIVERED", "FAILED"])
        self.see((await self.call("GET", f"/v2/logs?state={state}&count=100"))["logs"])

    def see(self, messages: list[dict[str, Any]]) -> None:
        for each in messages:
            self.ended.setdefault(each["messageId"], time.monotonic())

    async def letters(self) -> list[dict[str, Any]]:
        page = await self.call("GET", "/v2/dlq?count=100")
        letters = list(page["messages"])
        while "cursor" in page:
            page = await self.call("GET", f"/v2/dlq?count=100&cursor={page['cursor']}")
            letters += page["messages"]
        return letters

    async def go_on(self, step: Callable[[], Awaitable[None]]) -> None:
        while not self.stopping:
            try:
                await step()
            except httpx.HTTPError:
                await asyncio.sleep(0.05)
            await asyncio.sleep(self.chance.uniform(0.02, 0.3))


@asynccontextmanager
async def _process(tmp_path: Path, used: Used) -> AsyncIterator[None]:
    options = ("--port", "0", "--json-logs", "--data", str(tmp_path / "queue.db"))
    with process_of(tmp_path, "local-qstash", *options) as (process, log):
        used.visits.life += 1
        used.url = await asyncio.to_thread(found_in, log)
        yield
        process.kill()
        await asyncio.to_thread(process.wait)
        await used.visits.silence()


@pytest.mark.soak
async def test_what_is_answered_and_shown_holds_whenever_it_is_killed(tmp_path: Path) -> None:
    token = {"Authorization": f"Bearer {DEVELOPMENT.token}"}
    async with visited() as visits, httpx.AsyncClient(headers=token, timeout=60) as client:
        used = Used(visits, client)
        steps = (used.batch, used.limit, used.delay, used.name, used.give_up, used.look)
        using = [asyncio.create_task(used.go_on(each)) for each in (*steps, used.enqueue)]
        for _ in range(LIVES):
            async with _process(tmp_path, used):
                seen = len(visits.all) + used.chance.choice([10, 50, 100])
                await until(lambda: len(visits.all) >= seen)  # noqa: B023
        async with _process(tmp_path, used):
            used.stopping = True
            await asyncio.gather(*using)

            async def nothing_waits() -> bool:
                return not (await used.call("GET", "/page/messages"))["total"]

            await until(nothing_waits, timeout=60)
            letters = await used.letters()

    _each_was_delivered_to_its_end(used)
    for each in visits.by_message().values():
        _none_was_repeated_but_by_a_kill(each, used.ended)
    _limits_and_times_were_kept(used)
    _the_queue_went_one_by_one([each for each in visits.all if each.path.split("/")[2] == "q"])
    _dead_letters_are_there_once_and_told(used, letters)


def _each_was_delivered_to_its_end(used: Used) -> None:
    by_message = used.visits.by_message()
    for message_id, path in used.accepted.items():
        visits = by_message[message_id]
        assert {each.path for each in visits} == {path}
        tries = GIVEN_UP.get(path.split("/")[1])
        if tries is None:
            assert any(each.status == 200 for each in visits), (path, visits)
        else:
            assert {each.retried for each in visits} == set(range(tries)), (path, visits)
    for path, ids in used.known_as.items():
        assert ids == {each.message_id for each in used.visits.all if each.path == path}
    assert used.cancelled.isdisjoint(by_message)


def _none_was_repeated_but_by_a_kill(visits: list[Visit], ended: dict[str, float]) -> None:
    """Each process sends each delivery once, and the next one only if there was a need."""
    assert len({(each.retried, each.life) for each in visits}) == len(visits), visits
    for one, following in pairwise(visits):
        assert following.retried - one.retried in (0, 1), visits
        if following.retried > one.retried:
            assert one.status not in (None, 200, 489), visits
            assert following.at - one.at >= PAUSE - 0.01, visits
    for each in visits:
        assert each.at <= ended.get(each.message_id, each.at), (each, visits)


def _limits_and_times_were_kept(used: Used) -> None:
    most = used.visits.most_at_once
    assert most["q"] == 1
    assert most["three"] <= 3
    rated = [each.at for each in used.visits.all if each.path.split("/")[2] == "rated"]
    for number, at in enumerate(rated):
        assert at - rated[0] >= number // RATE, f"delivery {number} came too early"
    for each in used.visits.all:
        assert each.at >= used.delayed.get(each.message_id, 0.0) + DELAY - 0.01


def _the_queue_went_one_by_one(visits: list[Visit]) -> None:
    """The next one began when that before it had ended."""
    for one, following in pairwise(visits):
        before, after = (int(each.path.split("/")[3]) for each in (one, following))
        assert after >= before, (one, following)
        if after > before:
            last = one.retried + 1 == GIVEN_UP.get(one.path.split("/")[1])
            assert one.status == 200 or (last and one.status is not None), (one, following)


def _dead_letters_are_there_once_and_told(used: Used, letters: list[dict[str, Any]]) -> None:
    """One that was tried again has moved to its new message, which then failed, too."""
    paths = {each.message_id: each.path for each in used.visits.all}
    given_up = {each: path for each, path in paths.items() if path.split("/")[1] in GIVEN_UP}
    failed = {path: each for each, path in given_up.items()}  # the newest message of each path
    assert sorted(failed.values()) == sorted(each["messageId"] for each in letters)
    for each in letters:
        assert each["responseBody"] == paths[each["messageId"]]
        assert each["responseStatus"] in (489, 500)
    told = defaultdict(set)
    for visit, callback in used.visits.told(FAILURE):
        told[callback["sourceMessageId"]].add((visit.message_id, callback["dlqId"]))
    assert set(told) == set(given_up)
    assert {len(each) for each in told.values()} == {1}
    assert {(each["messageId"], each["dlqId"]) for each in letters} <= {
        (source, dlq_id) for source, ones in told.items() for _, dlq_id in ones
    }
    deliveries = Counter[tuple[str, int]]()
    for source, retried, _ in {
        (callback["sourceMessageId"], callback["retried"], visit.message_id)
        for visit, callback in used.visits.told(CALLBACK)
    }:
        deliveries[source, retried] += 1
    assert set(deliveries.values()) == {1}
    assert set(deliveries) == {
        (each.message_id, each.retried)
        for each in used.visits.all
        if each.path not in (CALLBACK, FAILURE)
    }
