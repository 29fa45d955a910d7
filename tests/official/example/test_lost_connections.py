"""The example in a browser: the network is gone and comes back, or an instance is killed."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from tests.doubles.upstream import Gate, Script, Upstream, answer, piece
from tests.instances import balanced, that_runs
from tests.official.example.chat_page import ChatPage, OpenChat
from tests.tcp_proxy import TcpProxy

pytestmark = pytest.mark.soak


@contextmanager
def _browser_offline(chat: ChatPage, network: TcpProxy) -> Iterator[None]:
    chat.page.context.set_offline(True)
    network.cut()  # Chromium lets an open stream go on
    try:
        yield
    finally:
        chat.page.context.set_offline(False)


@contextmanager
def _service_unreachable(_: ChatPage, network: TcpProxy) -> Iterator[None]:
    network.refusing = True
    network.cut()
    try:
        yield
    finally:
        network.refusing = False


Loss = Callable[[ChatPage, TcpProxy], AbstractContextManager[None]]
LOSSES = pytest.mark.parametrize("lost", [_browser_offline, _service_unreachable])


def test_an_answer_goes_on_after_each_cut(
    open_chat: OpenChat, network: TcpProxy, upstream: Upstream
) -> None:
    gates = [Gate() for _ in range(5)]
    pieces = [step for gate in gates for step in (piece("One "), gate)]
    upstream.then(Script([*pieces, *answer("end.")]))
    chat = open_chat()
    chat.say("Hi.")
    for count, gate in enumerate(gates, start=1):
        chat.shows("One " * count)
        network.cut()
        gate.open()
    chat.shows("One " * 5 + "end.")
    chat.ended()
    assert len(upstream.received) == 1


@LOSSES
def test_an_answer_goes_on_when_the_network_is_back(
    open_chat: OpenChat, network: TcpProxy, upstream: Upstream, lost: Loss
) -> None:
    gate = Gate()
    upstream.then(Script([piece("Hello"), gate, *answer(", world.")]))
    chat = open_chat()
    chat.say("Hi.")
    chat.shows("Hello")
    with ExitStack() as while_lost:
        with chat.page.expect_event("requestfailed", lambda failed: failed.method == "GET"):
            while_lost.enter_context(lost(chat, network))
        gate.open()
    chat.shows("Hello, world.")
    chat.ended()
    assert len(upstream.received) == 1


@LOSSES
def test_a_message_is_sent_when_the_network_is_back(
    open_chat: OpenChat, network: TcpProxy, upstream: Upstream, lost: Loss
) -> None:
    chat = open_chat()
    with lost(chat, network), chat.page.expect_event("requestfailed"):
        chat.say("Hi.")
    chat.shows("Hello, world.")
    chat.ended()
    expect(chat.page.locator(".user")).to_have_text("Hi.")
    assert len(upstream.received) == 1


def test_an_answer_is_whole_after_its_instance_was_killed(
    open_chat: OpenChat,
    network: TcpProxy,
    upstream: Upstream,
    app: str,
    redis_url: str,
    tmp_path: Path,
) -> None:
    settings = {
        "REDIS_URL": redis_url,
        "OPENAI_BASE_URL": upstream.url,
        "LONGTASK_LEASE": "1.5",
        "LONGTASK_CORS_ORIGINS": app,
    }
    upstream.then(Script([piece("Lost"), Gate()]))
    ports = network.ports
    with balanced(tmp_path, **settings) as (client, processes):
        network.ports = [urlsplit(client.url).port or 0]
        chat = open_chat()
        chat.say("Hi.")
        chat.shows("Lost")
        processes[that_runs(processes)].kill()
        chat.shows("Hello, world.")
        chat.ended()
        chat.page.reload()
        chat.ended()
        chat.shows("Hello, world.")
    network.ports = ports
    assert len(upstream.received) == 2
