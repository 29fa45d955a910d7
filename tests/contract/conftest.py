"""Each store of STORES in turn."""

from collections.abc import AsyncIterator

import pytest

from tests.contract.stores import STORES, TTL, Store


@pytest.fixture(params=STORES)
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    async with STORES[request.param](TTL, request) as opened:
        yield opened


@pytest.fixture(params=STORES)
async def forgetful_store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    """One that keeps a task for half a second."""
    async with STORES[request.param](0.5, request) as opened:
        yield opened
