"""Services that the tests of one module share."""

from collections.abc import Iterator

import pytest

from tests.doubles.upstream import Upstream
from tests.running import Running, running_service, settings_for


@pytest.fixture(scope="module")
def retrying(shared_upstream: Upstream) -> Iterator[Running]:
    """Its queue delivers again twice, and at once."""
    settings = settings_for(
        openai_api_key="sk-planted-secret",
        openai_base_url=shared_upstream.url,
        qstash_retries=2,
        qstash_retry_delay="20",
    )
    with running_service(settings) as running:
        yield running


@pytest.fixture(scope="module")
def served() -> Iterator[Running]:
    """It waits long for a request."""
    with running_service(settings_for(request_timeout=20.0)) as running:
        yield running


@pytest.fixture(scope="module")
def hurried(shared_upstream: Upstream) -> Iterator[Running]:
    """It waits half a second for a request."""
    settings = settings_for(
        openai_base_url=shared_upstream.url, request_timeout=0.5, sse_ping_interval=0.1
    )
    with running_service(settings) as running:
        yield running


@pytest.fixture(params=["streamed", "held"])
def streamed(request: pytest.FixtureRequest) -> bool:
    """Whether a chat completion is asked for as a stream, or held until its task has ended."""
    return bool(request.param == "streamed")
