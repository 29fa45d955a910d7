"""A local QStash for all tests of a module, the SDK that calls it, and a destination."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.database import open_database
from entrypoints.local_qstash.tables import QUEUE
from tests.doubles.destination import Destination
from tests.integration.sdk import Sdk
from tests.running import running_local_qstash


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("queue")


@pytest.fixture(scope="module", params=["sync, in memory", "async, in a file"])
def sdk(request: pytest.FixtureRequest, folder: Path) -> Iterator[Sdk]:
    """Each store with another of the two clients: neither knows of the other."""
    kind, place = request.param.split(", ")
    database = open_database(folder / "queue.db", [QUEUE]) if place == "in a file" else None
    with running_local_qstash(database=database) as url:
        sdk = Sdk(kind, url)
        yield sdk
        sdk.close()
    if database is not None:
        database.close()


@pytest.fixture
def destination() -> Iterator[Destination]:
    with Destination().running() as running:
        yield running
