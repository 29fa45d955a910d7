"""The page whose connection, service or machine goes away and comes back."""

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.page import OpenPage, choose, hide, open_streams, show, start, status, text
from tests.doubles.upstream import (
    DONE,
    Gate,
    Script,
    Upstream,
    answer,
    finish,
    piece,
)
from tests.processes import found_in, process_of
from tests.redis_server import free_port
from tests.running import Running
from tests.tcp_proxy import TcpProxy
from tests.waiting import eventually, within


@pytest.mark.soak
def test_a_reload_and_another_device_have_all_of_it_and_go_on(
    service: Running, upstream: Upstream, open_page: OpenPage
) -> None:
    gate = Gate()
    upstream.then(Script([piece("One "), piece("two "), gate, piece("three."), finish(), DONE]))
    page = open_page(service.url)
    start(page, "Count.")
    expect(page.locator("#answer")).to_have_text("One two")
    page.reload()
    expect(page.locator("#answer")).to_have_text("One two")
    other = open_page(page.url)
    expect(other.locator("#answer")).to_have_text("One two")
    expect(other.locator("#task-prompt")).to_have_text("Count.")
    gate.open()
    for each in (page, other):
        status(each, "completed")
        assert text(each) == "One two three."
    # Without a link the page takes up what was left unfinished, and nothing else.
    page.goto(service.url)
    expect(page.locator("#task")).to_be_hidden()


@pytest.mark.soak
def test_an_unfinished_task_is_taken_up_again(
    service: Running, upstream: Upstream, open_page: OpenPage
) -> None:
    gate = Gate()
    upstream.then(Script([piece("Half"), gate, piece(" whole"), finish(), DONE]))
    page = open_page(service.url)
    task_id = start(page, "Later.")
    expect(page.locator("#answer")).to_have_text("Half")
    page.goto("about:blank")
    page.goto(service.url)
    expect(page.locator("#task-id")).to_have_text(task_id)
    gate.open()
    status(page, "completed")
    assert text(page) == "Half whole"


@pytest.mark.soak
def test_connections_that_are_cut_again_and_again(
    service: Running, upstream: Upstream, open_page: OpenPage
) -> None:
    words = [f"w{number} " for number in range(60)]
    gates = [Gate() for _ in range(3)]
    steps: list[bytes | float | Gate] = []
    for number, word in enumerate(words):
        if number and number % 20 == 0:
            steps.append(gates[number // 20 - 1])
        steps.append(piece(word))
    upstream.then(Script([*steps, gates[2], finish(), DONE]))
    port = int(service.url.rpartition(":")[2])
    with TcpProxy(port).running() as proxy:
        page = open_page(proxy.url)
        start(page, "Words.")
        for number, gate in enumerate(gates):
            expect(page.locator("#raw")).to_have_text("".join(words[: 20 * (number + 1)]))
            proxy.refusing = True
            proxy.cut()
            expect(page.locator("#connection")).to_have_text("Connection lost. Reconnecting…")
            gate.open()
            proxy.refusing = False
            if number < 2:
                expect(page.locator("#connection")).to_be_hidden()
        status(page, "completed")
        assert text(page) == "".join(words)


@pytest.mark.soak
def test_the_service_is_killed_and_started_again(
    tmp_path: Path, redis_url: str, upstream: Upstream, open_page: OpenPage
) -> None:
    gate = Gate()
    upstream.then(
        Script([piece("Before "), gate, piece("never"), finish(), DONE]),
        Script(answer("After ", "the crash.")),
    )
    settings = {
        "REDIS_URL": redis_url,
        "OPENAI_BASE_URL": upstream.url,
        "LONGTASK_LEASE": "1",
        "LONGTASK_LOG_FORMAT": "json",
    }
    words = ("serve", "--port", str(free_port()))
    with process_of(tmp_path, *words, **settings) as (process, log):
        url = found_in(log)
        page = open_page(url)
        task_id = start(page, "Survive.")
        expect(page.locator("#answer")).to_have_text("Before")
        process.kill()
        process.wait(within(10))
        expect(page.locator("#connection")).to_have_text("Connection lost. Reconnecting…")
    with process_of(tmp_path, *words, **settings) as (process, log):
        found_in(log)
        expect(page.locator("#connection")).to_be_hidden()
        expect(page.locator("#answer")).to_have_text("Before")
        # The embedded queue died with its process: what still has the delivery makes it again.
        page.evaluate(
            "([id, prompt]) => fetch(`/api/qstash/webhook?taskId=${id}&prompt=${prompt}`)",
            [task_id, "Survive."],
        )
        status(page, "completed")
        assert text(page) == "After the crash."
        expect(page.locator("#attempt")).to_have_text("attempt 2")


@pytest.mark.soak
def test_a_page_that_is_hidden_holds_no_connection(
    service: Running, upstream: Upstream, open_page: OpenPage
) -> None:
    """A browser opens six to a host: six forgotten tabs would block everything else."""
    gate = Gate()
    upstream.then(Script([piece("One"), gate, piece(" two"), finish(), DONE]))
    page = open_page(service.url)
    task_id = start(page, "Hide.")
    expect(page.locator("#answer")).to_have_text("One")
    hide(page)
    eventually(lambda: open_streams(service) == 0)
    gate.open()
    service.client.wait_for(task_id, "completed")
    assert text(page) == "One"
    show(page)
    status(page, "completed")
    assert text(page) == "One two"


@pytest.mark.soak
def test_a_laptop_that_slept_opens_a_connection_of_its_own_accord(
    service: Running, upstream: Upstream, open_page: OpenPage
) -> None:
    """Since the old one may be dead without a word."""
    gate = Gate()
    upstream.then(Script([piece("One"), gate, piece(" two"), finish(), DONE]))
    with TcpProxy(int(service.url.rpartition(":")[2])).running() as proxy:
        page = open_page(proxy.url)
        page.clock.install()
        page.reload()
        task_id = start(page, "Sleep.")
        expect(page.locator("#answer")).to_have_text("One")
        with page.expect_request("**/api/tasks/stream?**") as asked:
            page.clock.fast_forward(3_600_000)
            page.clock.run_for(2_000)
        last = service.client.events(task_id, until=lambda seen: seen.text == "One").logged[-1]
        assert asked.value.url.endswith(f"lastEventId={last.id}")
        gate.open()
        status(page, "completed")
        assert text(page) == "One two"


@pytest.mark.soak
def test_listening_stops_and_goes_on(
    service: Running, upstream: Upstream, open_page: OpenPage
) -> None:
    gate = Gate()
    upstream.then(Script([piece("One"), gate, piece(" two"), finish(), DONE]))
    page = open_page(service.url)
    task_id = start(page, "Listen.")
    expect(page.locator("#answer")).to_have_text("One")
    choose(page, "stopListening")
    expect(page.locator("#connection")).to_contain_text("Not listening")
    eventually(lambda: open_streams(service) == 1)  # that of the list
    gate.open()
    service.client.wait_for(task_id, "completed")
    assert text(page) == "One"
    choose(page, "listen")
    status(page, "completed")
    assert text(page) == "One two"
