"""Fixtures that more than one kind of test uses. No test sees the machine's own settings."""

import os
import ssl
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, settings

from entrypoints.settings.loading import names
from tests.doubles.responses_upstream import ResponsesUpstream
from tests.doubles.rest_front import RestFront
from tests.doubles.upstream import Upstream
from tests.leaks import WATCH, listen_to_all_lines, watching
from tests.redis_server import LocalRedis, cluster_url, running_cluster, running_redis
from tests.running import Running, running_service, settings_for
from tests.waiting import CORES

# Into the standard library's logging, where pytest captures it per test.
structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.processors.format_exc_info,
        structlog.processors.KeyValueRenderer(key_order=["event"]),
    ],
    logger_factory=structlog.stdlib.LoggerFactory(),
    wrapper_class=structlog.stdlib.BoundLogger,
)

# Every HTTP client makes one, which takes 40 ms of CPU, and the tests make thousands of clients.
ssl.create_default_context = cache(ssl.create_default_context)  # type: ignore[assignment]

# An example may take any time: other programs may want the cores. "dose" is for `make test`; what
# is drawn at full size runs with the soak tests.
settings.register_profile("full", settings(), deadline=None)
settings.load_profile("full")
settings.register_profile(
    "dose", settings(), max_examples=25, suppress_health_check=[HealthCheck.too_slow]
)

TESTS = Path(__file__).parent
LONGEST_FIRST = (
    "faults",
    "official",
    "browser",
    "abuse",
    "end_to_end",
    "integration",
    "contract",
    "unit",
)
"""The suites in the order in which workers take their tests, so that none is left alone with a long
one at the end."""


def pytest_xdist_auto_num_workers() -> int:
    """More than there are cores: most of a test is waiting, and time limits grow with the load."""
    return CORES + 4


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: LONGEST_FIRST.index(item.path.relative_to(TESTS).parts[0]))


@pytest.fixture(autouse=True, scope="session")
def _watched() -> Iterator[None]:
    with watching():
        yield


@pytest.fixture(autouse=True, scope="session")
def _nothing_kept_here() -> Iterator[None]:
    """No test leaves a data file in the working folder: the user's own may be there."""
    before = Path(".longtask").exists()
    yield
    assert before or not Path(".longtask").exists()


@pytest.fixture(autouse=True)
def _nothing_leaks() -> Iterator[None]:
    listen_to_all_lines()
    WATCH.found.clear()
    yield
    assert not WATCH.found, WATCH.found[:3]


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*names(), "LONGTASK_SERVER", "LONGTASK_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", os.devnull)  # where no login is


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream().running() as server:
        yield server


@pytest.fixture
def responses_upstream() -> Iterator[ResponsesUpstream]:
    with ResponsesUpstream().running() as server:
        assert isinstance(server, ResponsesUpstream)
        yield server


@pytest.fixture
def service(upstream: Upstream) -> Iterator[Running]:
    """The whole service on the embedded default, its model the scripted upstream."""
    settings = settings_for(
        openai_api_key="sk-planted-secret",
        openai_base_url=upstream.url,
        qstash_retry_delay="50",
    )
    with running_service(settings) as running:
        yield running


@pytest.fixture(scope="module")
def shared_upstream() -> Iterator[Upstream]:
    with Upstream().running() as server:
        yield server


@pytest.fixture
def scripted(shared_upstream: Upstream) -> Upstream:
    """The model of the shared services, for a test that scripts it or looks at what it was asked.
    A test that shares it waits for the end of each of its tasks, or the next test's script is used
    up."""
    shared_upstream.reset()
    return shared_upstream


@pytest.fixture(scope="module")
def shared_service() -> Iterator[Running]:
    """One for all tests of a module that only read it or are refused. Its model is the demo."""
    with running_service(settings_for()) as running:
        yield running


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A real Redis, one for all tests. Whoever uses it empties it, or uses names of its own."""
    with running_redis() as url:
        yield url


@pytest.fixture
def own_redis() -> Iterator[LocalRedis]:
    """One for a single test, that may be killed and started. It keeps its data on disk, and no
    write waits until an earlier one is flushed."""
    with LocalRedis("--appendonly", "yes", "--appendfsync", "no").running() as server:
        yield server


@pytest.fixture(scope="session")
def redis_cluster() -> Iterator[str]:
    """The URL of three nodes that share the slots."""
    with running_cluster() as nodes:
        yield cluster_url(nodes)


@pytest.fixture(scope="session")
def rest_front(redis_url: str) -> Iterator[RestFront]:
    with RestFront(redis_url).running() as front:
        yield front
