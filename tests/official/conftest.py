"""What programs in JavaScript need."""

import pytest

from tests.official.node.clients import Node, installed


@pytest.fixture(scope="session")
def node(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Node:
    if request.config.cache is None:
        pytest.skip("no cache to install the clients into")
    return installed(request.config.cache.mkdir("node-clients"), tmp_path_factory.mktemp("scripts"))
