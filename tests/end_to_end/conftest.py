"""Services that the tests of one connection share."""

from collections.abc import Iterator

import pytest

from tests.doubles.upstream import Upstream
from tests.running import Running, running_service, settings_for


@pytest.fixture(scope="module")
def served() -> Iterator[Running]:
    with running_service(settings_for(request_timeout=20.0)) as running:
        yield running


@pytest.fixture
def hurried(upstream: Upstream) -> Iterator[Running]:
    settings = settings_for(
        openai_base_url=upstream.url, request_timeout=0.5, sse_ping_interval=0.1
    )
    with running_service(settings) as running:
        yield running
