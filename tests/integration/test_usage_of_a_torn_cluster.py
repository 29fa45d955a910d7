"""What is counted while one node of a Redis Cluster is away."""

import asyncio

import pytest

from adapters.redis import RedisUsageLedger
from application.meter import day_of
from domain.task import Task
from entrypoints.identity import SystemClock
from tests.builders import NOW, REQUEST, meter_of, to_redis
from tests.redis_server import cluster_url, running_cluster

OWNERS = [f"owner-{number}" for number in range(9)]


@pytest.mark.soak
async def test_what_the_other_nodes_have_counts_twice_at_most() -> None:
    with running_cluster("--cluster-require-full-coverage", "no") as nodes:
        redis = to_redis(cluster_url(nodes))
        try:
            ledger = RedisUsageLedger(redis)
            meter = meter_of(ledger=ledger)
            today = day_of(SystemClock().now())
            tasks = [
                Task.submit(f"task_{owner}", REQUEST, NOW, owner=owner).task for owner in OWNERS
            ]
            for each in tasks:
                meter.ended(each)
            await meter.flush()
            nodes[0].kill()
            for each in tasks:
                meter.ended(each)
            for _ in range(6):
                await meter.flush()
            found = await asyncio.gather(
                *(ledger.rows([f"key:{owner}"], today, today) for owner in OWNERS),
                return_exceptions=True,
            )
            counted = [rows[0].tasks for rows in found if not isinstance(rows, BaseException)]
            assert 0 < len(counted) < len(OWNERS)
            assert {*counted} <= {2, 3}
        finally:
            await redis.aclose()
