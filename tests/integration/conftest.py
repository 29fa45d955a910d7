"""A local QStash in memory and one in a file, the SDK that calls them, and a destination."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from adapters.database import Database, open_database
from adapters.openai.responses import ResponsesModel
from entrypoints.local_qstash.tables import QUEUE
from tests.doubles.destination import Destination
from tests.doubles.responses_upstream import ResponsesUpstream
from tests.integration.sdk import Sdk
from tests.queue_client import queue_client
from tests.running import running_qstash_alone
from tests.waiting import within


@pytest.fixture(scope="module")
def qstash_url() -> Iterator[str]:
    with running_qstash_alone() as url:
        yield url


@pytest.fixture(scope="module")
def file_qstash_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_qstash_alone(tmp_path_factory.mktemp("queue") / "queue.db") as url:
        yield url


@pytest.fixture
def client(qstash_url: str) -> Iterator[httpx.Client]:
    with queue_client(qstash_url) as client:
        yield client
        client.delete("/v2/workflows/runs")
        client.delete("/v2/messages")


@pytest.fixture(params=["sync, in memory", "async, in a file"])
def sdk(request: pytest.FixtureRequest) -> Iterator[Sdk]:
    """Each store with another of the two clients: neither knows of the other."""
    kind, place = request.param.split(", ")
    fixture = "qstash_url" if place == "in memory" else "file_qstash_url"
    sdk = Sdk(kind, request.getfixturevalue(fixture))
    yield sdk
    sdk("message.cancel_all")
    sdk.close()


@pytest.fixture
def destination() -> Iterator[Destination]:
    with Destination().running() as running:
        yield running


@pytest.fixture
async def responses_model(
    responses_upstream: ResponsesUpstream,
) -> AsyncIterator[ResponsesModel]:
    url, timeout = responses_upstream.url, within(5.0)
    model = ResponsesModel("key", url, read_timeout=timeout, poll_pause=0.01)
    yield model
    await model.aclose()


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    """The file of a local QStash, which is empty."""
    database = open_database(tmp_path / "queue.db", [QUEUE])
    yield database
    await database.aclose()
