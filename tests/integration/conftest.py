"""A local QStash, the SDK that calls it, and where it delivers to."""

from collections.abc import Iterator

import pytest

from tests.doubles.destination import Destination
from tests.integration.sdk import Sdk
from tests.running import running_local_qstash


@pytest.fixture(scope="module")
def qstash_url() -> Iterator[str]:
    with running_local_qstash() as url:
        yield url


@pytest.fixture(params=["sync", "async"])
def sdk(request: pytest.FixtureRequest, qstash_url: str) -> Iterator[Sdk]:
    sdk = Sdk(request.param, qstash_url)
    yield sdk
    sdk("message.cancel_all")
    sdk.close()


@pytest.fixture
def destination() -> Iterator[Destination]:
    with Destination().running() as running:
        yield running
