"""Each store of STORES in turn."""

from collections.abc import AsyncIterator

import pytest

from tests.contract.stores import STORES, TTL, Store

# The cluster is started once: its tests stay together.
EACH = [
    pytest.param(name, marks=pytest.mark.xdist_group("redis_cluster") if name == "cluster" else ())
    for name in STORES
]


@pytest.fixture(params=EACH)
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    async with STORES[request.param](TTL, request) as opened:
        yield opened


@pytest.fixture(params=EACH)
async def forgetful_store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    """One that keeps a task for half a second."""
    async with STORES[request.param](0.5, request) as opened:
        yield opened
