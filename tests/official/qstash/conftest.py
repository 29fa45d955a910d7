"""A local QStash for all tests of a module, the SDK that calls it, and a destination."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.doubles.destination import Destination
from tests.integration.sdk import Sdk
from tests.running import running_qstash_alone


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("queue")


@pytest.fixture(scope="module", params=["sync, in memory", "async, in a file"])
def sdk(request: pytest.FixtureRequest, folder: Path) -> Iterator[Sdk]:
    """Each store with another of the two clients: neither knows of the other."""
    kind, place = request.param.split(", ")
    data = folder / "queue.db" if place == "in a file" else None
    with running_qstash_alone(data) as url, closing(Sdk(kind, url)) as sdk:
        yield sdk


@pytest.fixture
def destination() -> Iterator[Destination]:
    with Destination().running() as running:
        yield running
