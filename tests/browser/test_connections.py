"""How many connections the page holds, and that it repeats no request: a browser opens six to a host
over HTTP/1.1, for all of its tabs."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, Request, expect

from tests.browser.page import OpenPage, choose, hide, open_streams, row, show, start, status
from tests.doubles.upstream import DONE, Gate, Script, Upstream, finish, piece
from tests.end_to_end.guarded import exposed
from tests.running import Running, running_service
from tests.waiting import eventually

pytestmark = pytest.mark.soak

TABS = 8
CONNECTIONS = 6  # that a browser opens to one origin over HTTP/1.1
QUIET = 30_000  # milliseconds


def requests_in_quiet(page: Page) -> list[str]:
    """What a page asks for in half a minute in which nothing happens."""
    asked: list[str] = []

    def note(request: Request) -> None:
        asked.append(request.url)

    page.on("request", note)
    page.clock.run_for(QUIET)
    page.evaluate("fetch('/web/icon.svg')")  # comes behind whatever the timers have asked for
    page.remove_listener("request", note)
    assert asked.pop().endswith("icon.svg")
    return asked


def test_nothing_is_polled(service: Running, upstream: Upstream, open_page: OpenPage) -> None:
    gates = [Gate(), Gate()]
    for gate in gates:
        upstream.then(Script([piece("One"), gate, piece(" two"), finish(), DONE]))
    other = service.client.start("Not open.")
    gates[0].reached.wait()
    page = open_page(service.url)
    page.clock.install()
    page.reload()
    start(page, "Open.")
    expect(page.locator("#answer")).to_have_text("One")
    expect(page.locator(row(other, "open"))).to_be_visible()
    assert requests_in_quiet(page) == []
    assert open_streams(service) == 2
    for gate in gates:
        gate.open()
    status(page, "completed")
    expect(page.locator("#list [data-status=running]")).to_have_count(0)
    assert requests_in_quiet(page) == []
    eventually(lambda: open_streams(service) == 1)


def test_more_tabs_than_connections_work(
    service: Running, upstream: Upstream, open_page: OpenPage
) -> None:
    gates = [Gate() for _ in range(TABS)]
    for number, gate in enumerate(gates):
        upstream.then(Script([piece(f"Tab {number}"), gate, piece("."), finish(), DONE]))
    tabs: list[Page] = []
    for number in range(TABS):
        if tabs:
            hide(tabs[-1])
        tab = open_page(f"{service.url}/#start", tabs[0].context if tabs else None)
        start(tab, f"Prompt {number}")
        expect(tab.locator("#answer")).to_have_text(f"Tab {number}")
        expect(tab.locator("#list .open").first).to_have_text(f"Prompt {number}")
        tabs.append(tab)
        eventually(lambda: open_streams(service) == 2)
    for number, (shown, gate) in enumerate(zip(tabs, gates, strict=True)):
        hide(next(each for each in tabs if not each.evaluate("document.hidden")))
        eventually(lambda: open_streams(service) == 0)
        gate.open()
        show(shown)
        status(shown, "completed")
        expect(shown.locator("#list [data-status=running]")).to_have_count(TABS - number - 1)
        eventually(lambda: open_streams(service) == 1)


def test_six_tabs_with_running_tasks_show_their_answers_in_turn(
    service: Running, upstream: Upstream, open_page: OpenPage
) -> None:
    """As a person reads them: one is shown, and the browser hides the others. Their tasks all run,
    and each tells what came meanwhile and what comes from then on."""
    gates = [[Gate(), Gate()] for _ in range(CONNECTIONS)]
    tabs: list[Page] = []
    for number, (first, second) in enumerate(gates):
        said = [piece(f"Tab {number}"), piece(" meanwhile"), piece(" live")]
        upstream.then(Script([said[0], first, said[1], second, said[2], finish(), DONE]))
        tab = open_page(f"{service.url}/#start", tabs[0].context if tabs else None)
        start(tab, f"Prompt {number}")
        expect(tab.locator("#answer")).to_have_text(f"Tab {number}")
        hide(tab)
        tabs.append(tab)
    eventually(lambda: open_streams(service) == 0)
    for first, _ in gates:
        first.open()
    for number, (tab, (_, second)) in enumerate(zip(tabs, gates, strict=True)):
        show(tab)
        expect(tab.locator("#answer")).to_have_text(f"Tab {number} meanwhile")
        assert open_streams(service) == 2, "the list's and the task's, and none of a tab before"
        expect(tab.locator("#list [data-status=running]")).to_have_count(CONNECTIONS - number)
        second.open()
        expect(tab.locator("#answer")).to_have_text(f"Tab {number} meanwhile live")
        status(tab, "completed")
        hide(tab)
        eventually(lambda: open_streams(service) == 0)


def test_a_tab_that_is_opened_in_the_background_holds_nothing(
    service: Running, open_page: OpenPage
) -> None:
    task = service.client.start("Hi.")
    service.client.wait_for(task, "completed")
    page = open_page(service.url)
    expect(page.locator(row(task, "open"))).to_be_visible()
    hide(page)
    page.context.add_init_script(
        "Object.defineProperty(document, 'hidden', {get: () => true, configurable: true})"
    )
    background = open_page(f"{service.url}/#{task}", page.context)
    expect(background.locator("#task-prompt")).to_have_text("Hi.")
    assert open_streams(service) == 0
    show(background)
    status(background, "completed")
    expect(background.locator(row(task, "open"))).to_be_visible()


@pytest.fixture
def closed_list(upstream: Upstream) -> Iterator[Running]:
    """A service that others can reach, and that has no API keys: it shows no list."""
    with running_service(exposed(upstream, trusted=False)) as running:
        yield running


def test_where_the_list_is_closed_the_browser_remembers_its_own(
    closed_list: Running, upstream: Upstream, open_page: OpenPage
) -> None:
    gates = [Gate() for _ in range(4)]
    for gate in gates:
        upstream.then(Script([piece("One"), gate, piece(" two"), finish(), DONE]))
    of_others = closed_list.client.start("Of others.")
    gates[0].reached.wait()
    page = open_page(closed_list.url)
    page.clock.install()
    page.reload()
    expect(page.locator("#list-empty")).to_contain_text("remembered in this browser")
    expect(page.locator("#list-away")).to_be_hidden()
    asked: list[str] = []
    page.on("request", lambda sent: asked.append(sent.url))

    def waits_for(task: str) -> bool:
        page.evaluate("0")  # lets the requests be noted
        return asked[-1].endswith(f"/{task}/result?wait=300")

    ids = []
    for number in range(3):
        ids.append(start(page, f"Mine {number}"))
        expect(page.locator("#answer")).to_have_text("One")
    eventually(lambda: waits_for(ids[0]))
    running = page.locator("#list [data-status=running]")
    expect(running).to_have_count(3)
    expect(page.locator(row(of_others, "open"))).to_have_count(0)
    expect(page.locator("#key-form")).to_be_hidden()
    assert requests_in_quiet(page) == []
    gates[1].open()  # the oldest, which is waited for
    expect(running).to_have_count(2)
    eventually(lambda: waits_for(ids[1]))
    gates[3].open()  # the open one, which is followed
    expect(running).to_have_count(1)
    status(page, "completed")
    assert requests_in_quiet(page) == []
    hide(page)
    gates[2].open()
    gates[0].open()
    assert requests_in_quiet(page) == []
    expect(running).to_have_count(1)
    show(page)
    expect(running).to_have_count(0)
    kept = ids[-1]
    choose(page, "remove", kept)
    expect(page.locator("#list li")).to_have_count(2)
    assert closed_list.client.record(kept)["status"] == "completed"
