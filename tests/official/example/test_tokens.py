"""The example in a browser, with a service that has API keys: the page uses tokens."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, expect

from entrypoints.api_keys import new_key
from tests.doubles.upstream import Gate, Script, Upstream, answer, piece
from tests.official.example.app import running_app
from tests.official.example.chat_page import chats
from tests.official.node.clients import Node
from tests.running import running_service, settings_for
from tests.tcp_proxy import TcpProxy
from tests.waiting import within

pytestmark = pytest.mark.soak

KEY, ENTRY = new_key("alice")


@contextmanager
def _guarded(app: str, upstream: Upstream, network: TcpProxy) -> Iterator[None]:
    """A service with a key, behind the network."""
    settings = settings_for(
        openai_base_url=upstream.url,
        api_keys=ENTRY,
        stream_secret="a secret of forty characters, or even more",
        cors_origins=app,
        qstash_retry_delay="50",
    )
    with running_service(settings) as service:
        network.ports = [urlsplit(service.url).port or 0]
        yield


def test_a_page_sends_follows_and_stops_with_tokens(
    browser: Browser,
    node: Node,
    folder: Path,
    network: TcpProxy,
    upstream: Upstream,
    tmp_path: Path,
) -> None:
    gate = Gate()
    upstream.then(
        Script([piece("Hello"), gate, *answer(", world.")]), Script([piece("Hel"), Gate()])
    )
    log = tmp_path / "next.log"
    with (
        running_app(
            node.program, folder, log, LONGTASK_SERVER=network.url, LONGTASK_KEY=KEY
        ) as app,
        _guarded(app, upstream, network),
        chats(browser, app, network.url) as open_chat,
    ):
        chat = open_chat()
        chat.say("Hi.")
        chat.shows("Hello")
        chat.page.reload()
        chat.shows("Hello")
        gate.open()
        chat.shows("Hello, world.")
        chat.say("Once more.")
        chat.shows("Hello, world.", "Hel")
        chat.click("Stop")
        chat.notes("Stopped.")
        assert upstream.received[1].gone.wait(within(20))
        assert not chat.page.evaluate("Object.values(localStorage).join().includes('eyJ')")
        expect(chat.page.locator(".error")).to_have_count(0)
    assert KEY not in log.read_text()


def test_a_page_that_gets_no_token_says_so(
    browser: Browser,
    app: str,
    network: TcpProxy,
    upstream: Upstream,
) -> None:
    """Its server has no key, though the service asks for one."""
    with _guarded(app, upstream, network), chats(browser, app, network.url) as open_chat:
        chat = open_chat()
        chat.say("Hi.")
        expect(chat.page.locator(".error")).to_contain_text("key")
        chat.ended()
        chat.page.reload()
        expect(chat.page.locator(".error")).to_contain_text("key")
    assert not upstream.received
