"""The example, built once, and a service behind a proxy that breaks connections."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser

from tests.browser.program import running_browser
from tests.doubles.upstream import Upstream
from tests.official.example.app import built, running_app
from tests.official.example.chat_page import OpenChat, chats
from tests.official.node.clients import Node
from tests.running import Running, running_service, settings_for
from tests.tcp_proxy import TcpProxy


@pytest.fixture(scope="package")  # its event loop must end before tests that bring their own
def browser() -> Iterator[Browser]:
    with running_browser() as browser:
        yield browser


@pytest.fixture(scope="session")
def folder(request: pytest.FixtureRequest, node: Node) -> Path:
    if request.config.cache is None:
        pytest.skip("no cache to build the example in")
    return built(request.config.cache.mkdir("next-chat"), node.program)


@pytest.fixture(scope="session")
def network() -> Iterator[TcpProxy]:
    """What is between the browser and Longtask."""
    with TcpProxy().running() as proxy:
        yield proxy


@pytest.fixture(scope="session")
def app(
    node: Node, folder: Path, network: TcpProxy, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    log = tmp_path_factory.mktemp("app") / "next.log"
    with running_app(node.program, folder, log, LONGTASK_SERVER=network.url) as url:
        yield url


@pytest.fixture(scope="module")
def service(shared_upstream: Upstream, network: TcpProxy, app: str) -> Iterator[Running]:
    settings = settings_for(
        openai_api_key="sk-planted-secret",
        openai_base_url=shared_upstream.url,
        qstash_retry_delay="50",
        cors_origins=app,
    )
    with running_service(settings) as running:
        network.ports = [urlsplit(running.url).port or 0]
        yield running


@pytest.fixture
def upstream(scripted: Upstream) -> Upstream:
    return scripted


@pytest.fixture
def open_chat(
    browser: Browser, app: str, network: TcpProxy, service: Running
) -> Iterator[OpenChat]:
    with chats(browser, app, network.url) as open_chat:
        yield open_chat
