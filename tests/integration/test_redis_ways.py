"""The ways to Redis beside one plain server, Sentinel and Cluster, and what breaks on each."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from adapters.redis import Connection, RedisTaskLog, connect
from adapters.redis.errors import UnknownScript
from adapters.redis.keys import keys_of
from adapters.redis.record import Record
from adapters.redis.records import Records
from adapters.redis_address import parse_address
from application.errors import LeaseLost, StoreUnavailable
from domain.attempt import Attempt
from domain.events import ContentAdded, TaskStatus, fold
from domain.failure import Failure
from domain.task import Task
from tests.builders import LEASE, REQUEST, begun, claim, follow_task, submit, to_redis
from tests.contract.stores import assert_shut_out
from tests.doubles.readers import (
    events_of,
    read_to_end,
    started,
    subscribed,
)
from tests.integration.redis_bench import on_redis
from tests.redis_server import LocalRedis, cluster_url, redis_cli, running_cluster
from tests.waiting import eventually, within


def _says(server: LocalRedis, *words: str) -> str:
    return redis_cli("-p", str(server.port), *words)


class _PublishedMeanwhile(Records):
    """Another process publishes the task right after its record was read."""

    def __init__(self, connection: Connection, tasks: RedisTaskLog) -> None:
        super().__init__(connection)
        self._tasks = tasks

    async def get(self, task_id: str) -> Record:
        record = await super().get(task_id)
        await self._tasks.note_message(task_id, "msg")
        return record


async def test_a_task_that_is_published_meanwhile_is_not_failed(redis_url: str) -> None:
    connection = to_redis(redis_url)
    async with on_redis(connection) as bench:
        task = await bench.tasks.create(Task.submit("task_1_a", REQUEST, 1))
        racing = RedisTaskLog(connection, 60.0)
        racing._records = _PublishedMeanwhile(connection, bench.tasks)
        failure = Failure("queue_unavailable", "The queue did not take the task.", True)
        assert await racing.fail_unqueued(task.id, failure, 1) is None
        assert (await bench.tasks.get(task.id)).status is TaskStatus.PENDING


async def test_who_wrote_what_the_log_lost_may_write_no_more(redis_url: str) -> None:
    """As after a failover to a replica that had not got everything."""
    connection = to_redis(redis_url)
    async with on_redis(connection) as bench:
        attempt = await begun(bench.tasks)
        task_id = attempt.task.id
        attempt = await bench.add(await bench.add(attempt, "a"), "b")
        await connection.call("RPOP", keys_of(task_id).log)
        with pytest.raises(LeaseLost):
            await bench.tasks.append(attempt, [ContentAdded(1, "c")], LEASE)
        second = await bench.tasks.claim(task_id, LEASE, 1)
        assert isinstance(second, Attempt), "the attempt that lost its log must not hold the task"
        second = await bench.add(second, "whole")
        await bench.end(second, "whole")
        assert fold(await bench.follow(task_id)).answer.text == "whole"


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("said_again", [0, 1, 2])
async def test_whose_beginning_was_lost_may_not_write_for_the_next_one_of_its_number(
    redis_url: str, whole: bool, said_again: int
) -> None:
    """Redis has lost the `whole` task, or all since before the claim. The log of the next attempt
    may have grown as long."""
    connection = to_redis(redis_url)
    async with on_redis(connection) as bench:
        task_id = await submit(bench.tasks)
        keys = keys_of(task_id)
        before = {each: await connection.call("DUMP", each) for each in (keys.record, keys.log)}
        first = await claim(bench.tasks, task_id)
        lost = await bench.add(first, "lost")
        await connection.call("DEL", keys.record, keys.log, keys.lease, keys.heartbeat)

        if whole:
            await submit(bench.tasks, task_id=task_id)
        else:
            for key, dumped in before.items():
                await connection.call("RESTORE", key, 0, dumped)
        again = await claim(bench.tasks, task_id)
        assert again.number == lost.number
        for number in range(said_again):
            again = await bench.add(again, str(number))
        for attempt in (first, lost):
            await assert_shut_out(bench.tasks, attempt)
            with pytest.raises(LeaseLost):
                await bench.tasks.note_response(attempt, "resp_1")
            with pytest.raises(LeaseLost):
                await bench.tasks.restart(attempt, attempt.task.restart(2, None), LEASE)
        said = "".join(map(str, range(said_again)))
        await bench.end(again, said)
        assert fold(await bench.follow(task_id)).answer.text == said


async def test_an_attempt_without_a_token_may_write_nothing(redis_url: str) -> None:
    """No claim returns such an attempt."""
    connection = to_redis(redis_url)
    async with on_redis(connection) as bench:
        held = await begun(bench.tasks)
        keys = keys_of(held.task.id)
        await assert_shut_out(bench.tasks, replace(held, fence=""))
        await connection.call("HSET", keys.record, "writer", 0)  # as a cancellation begins
        await connection.call("DEL", keys.lease)
        for fence in ("", held.fence):
            await assert_shut_out(bench.tasks, replace(held, fence=fence))


async def test_who_saw_what_the_log_lost_starts_over(redis_url: str) -> None:
    """Also when its writer is dead too and the log has long grown beyond what they saw: those who
    listen, and those who come back with an id."""
    connection = to_redis(redis_url)
    async with on_redis(connection) as bench:
        attempt = await begun(bench.tasks)
        task_id = attempt.task.id
        attempt = await bench.add(await bench.add(attempt, "a"), "lost")
        follow = follow_task(bench.tasks, bench.feed)
        _, live = await started(follow, task_id)
        await live.until(4)
        seen = len(live.batches)

        await connection.call("RPOP", keys_of(task_id).log)
        await connection.call("DEL", keys_of(task_id).lease)
        second = await bench.tasks.claim(task_id, LEASE, 1)
        assert isinstance(second, Attempt)
        second = await bench.add(second, "whole")
        await bench.end(second, "whole")

        log = list((await bench.tasks.read(task_id, 0, 100)).events)
        await live.until_ended()
        coming_back = await read_to_end(follow, task_id, live.batches[seen - 1].end)
        for again in (live.batches[seen:], coming_back):
            assert again[0].first == 1
            assert events_of(again) == log


# Sentinel


@contextmanager
def _sentinel() -> Iterator[tuple[str, LocalRedis, LocalRedis]]:
    """The URL of a service, its master, and its replica."""
    with (
        LocalRedis().running() as master,
        LocalRedis("--replicaof", "127.0.0.1", str(master.port)).running() as replica,
    ):
        eventually(lambda: "master_link_status:up" in _says(replica, "info", "replication"))
        sentinel = LocalRedis(sentinel_of=master.port)
        with sentinel.running():
            eventually(lambda: "num-slaves\n1" in _says(sentinel, "sentinel", "master", "tasks"))
            yield f"redis+sentinel://127.0.0.1:{sentinel.port}/tasks", master, replica


@pytest.mark.soak
async def test_sentinel_names_a_new_master() -> None:
    with _sentinel() as (url, master, replica):
        async with on_redis(to_redis(url)) as bench:
            attempt = await begun(bench.tasks)
            following = asyncio.create_task(bench.follow(attempt.task.id))
            attempt = await bench.add(attempt, "a")
            log = keys_of(attempt.task.id).log
            await asyncio.to_thread(eventually, lambda: _says(replica, "llen", log).startswith("3"))
            master.kill()
            attempt = await bench.add(attempt, "b")
            await bench.end(attempt, "ab")
            async with asyncio.timeout(within(20)):
                assert fold(await following).answer.text == "ab"
            assert "role:master" in _says(replica, "info", "replication")


# Cluster


@pytest.mark.soak
async def test_a_slot_that_moves_takes_its_subscribers_along() -> None:
    with running_cluster() as nodes:
        async with on_redis(to_redis(cluster_url(nodes))) as bench:
            attempt = await begun(bench.tasks)
            slot = int(_says(nodes[0], "cluster", "keyslot", attempt.task.id))
            async with subscribed(bench.feed, attempt.task.id) as subscriber:
                await asyncio.to_thread(_move, nodes, slot)
                await subscriber.miss()
                attempt = await bench.add(attempt, "after")
                assert events_of(await subscriber.receive(1)) == [ContentAdded(1, "after")]


def _move(nodes: list[LocalRedis], slot: int) -> None:
    """One slot, with its keys, to another node."""
    ids = [_says(node, "cluster", "myid").strip() for node in nodes]
    source = next(
        index
        for index, node in enumerate(nodes)
        if _says(node, "cluster", "countkeysinslot", str(slot)).strip() != "0"
    )
    target = (source + 1) % len(nodes)
    to, of = nodes[target], nodes[source]
    _says(to, "cluster", "setslot", str(slot), "importing", ids[source])
    _says(of, "cluster", "setslot", str(slot), "migrating", ids[target])
    keys = _says(of, "cluster", "getkeysinslot", str(slot), "100").split()
    _says(of, "migrate", "127.0.0.1", str(to.port), "", "0", "5000", "keys", *keys)
    for node in (to, of, nodes[3 - source - target]):
        _says(node, "cluster", "setslot", str(slot), "node", ids[target])


@pytest.mark.soak
async def test_a_node_that_dies_and_comes_back() -> None:
    # Otherwise the last write waits for the disk, and a kill may lose it.
    options = ("--appendonly", "yes", "--appendfsync", "always")
    with running_cluster(*options) as nodes:
        async with on_redis(to_redis(cluster_url(nodes))) as bench:
            attempts = [await begun(bench.tasks) for _ in range(6)]
            following = [asyncio.create_task(bench.follow(each.task.id)) for each in attempts]
            attempts = [await bench.add(each, "a") for each in attempts]
            nodes[0].kill()
            nodes[0].start()
            for each in [await bench.add(each, "b") for each in attempts]:
                await bench.end(each, "ab")
            async with asyncio.timeout(within(20)):
                for seen in await asyncio.gather(*following):
                    assert fold(seen).answer.text == "ab"


# Commands that share a round trip


async def test_each_of_many_commands_at_once_has_its_own_answer(redis_url: str) -> None:
    connection = to_redis(redis_url)
    answers = await asyncio.gather(
        *(connection.call_batched("ECHO", str(number)) for number in range(500)),
        connection.call_batched("GET"),
        connection.call_batched("EVALSHA", "0" * 40, 0),
        return_exceptions=True,
    )
    assert answers[:500] == [str(number).encode() for number in range(500)]
    assert isinstance(answers[500], StoreUnavailable)
    assert isinstance(answers[501], UnknownScript)
    await connection.aclose()


async def test_an_answer_that_comes_too_late_is_nobodys(own_redis: LocalRedis) -> None:
    connection = connect(
        parse_address(own_redis.url), connections=3, connect_timeout=1.0, timeout=0.5
    )
    assert await connection.call_batched("ECHO", "warm") == b"warm"
    with own_redis.frozen():
        late = await asyncio.gather(
            *(connection.call_batched("ECHO", f"late {number}") for number in range(20)),
            connection.call("ECHO", "late"),
            return_exceptions=True,
        )
    assert {type(each) for each in late} == {StoreUnavailable}
    for number in range(20):
        word = str(number).encode()
        calls = (connection.call("ECHO", word), connection.call_batched("ECHO", word))
        assert list(await asyncio.gather(*calls)) == [word, word]
    await connection.aclose()


# REST
