"""The clients, and a service for all tests of a module."""

from collections.abc import Iterator

import pytest

from tests.doubles.upstream import Upstream
from tests.official.node.clients import Node, installed
from tests.running import Running, running_service, settings_for


@pytest.fixture(scope="session")
def node(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Node:
    if request.config.cache is None:
        pytest.skip("no cache to install the clients into")
    return installed(request.config.cache.mkdir("node-clients"), tmp_path_factory.mktemp("scripts"))


@pytest.fixture(scope="module")
def service(shared_upstream: Upstream) -> Iterator[Running]:
    settings = settings_for(
        openai_api_key="sk-planted-secret",
        openai_base_url=shared_upstream.url,
        qstash_retry_delay="50",
    )
    with running_service(settings) as running:
        yield running


@pytest.fixture
def upstream(scripted: Upstream) -> Upstream:
    return scripted
