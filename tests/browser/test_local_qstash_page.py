"""The page of the local QStash, as a person sees it: what it shows of what came from clients, what
one does with it, and how it looks."""

import re
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, Request, Route, expect

from adapters.qstash import DEVELOPMENT_USERS
from tests.browser.page import OpenPage
from tests.browser.test_looks import SIZES, violations
from tests.doubles.destination import Answer, Destination
from tests.running import running_qstash_alone
from tests.waiting import eventually

pytestmark = pytest.mark.soak

HOSTILE = '<img src="x" onerror="document.title=1"><script>alert(1)</script>'
REFUSED = {"Upstash-NonRetryable-Error": "true"}


UNNAMED = """[...document.querySelectorAll("tr.row > td[data-name]:not(:empty)")]
    .filter((cell) => ["none", ""].includes(getComputedStyle(cell, "::before").content))
    .map((cell) => cell.dataset.name)"""
"""The cells of cards that do not say what they are."""
TABLES = (
    "Messages",
    "Log",
    "Dead letters",
    "Queues",
    "Schedules",
    "Flow control",
    "URL groups",
)


@pytest.fixture
def alone() -> Iterator[str]:
    with running_qstash_alone() as url:
        yield url


@pytest.fixture
def destination() -> Iterator[Destination]:
    with Destination().running() as destination:
        yield destination


def publish(alone: str, url: str, body: str = "{}", user: str = "defaultUser", **more: str) -> str:
    headers = {f"Upstash-{name.replace('_', '-')}": value for name, value in more.items()}
    answer = call("POST", f"{alone}/v2/publish/{url}", user, content=body, headers=headers)
    return str(answer["messageId"])


def call(way: str, url: str, user: str = "defaultUser", **options: Any) -> Any:
    """Call the API as a user; what it answers."""
    token = {"Authorization": f"Bearer {DEVELOPMENT_USERS[user].token}"}
    headers = {**token, **options.pop("headers", {})}
    answer = httpx.request(way, url, headers=headers, **options).raise_for_status()
    return answer.json() if answer.content else None


def view(page: Page, name: str) -> None:
    page.get_by_role("navigation").get_by_role("link", name=name).click()
    expect(page.locator("h1")).to_have_text(name)


def row(page: Page, text: str) -> Any:
    return page.locator("tr.row", has_text=text)


def test_it_shows_what_waits_and_cancels_it(alone: str, open_page: OpenPage) -> None:
    sent: list[str] = []

    def note(request: Request) -> None:
        sent.append(request.url)

    page = open_page(alone)
    page.on("request", note)
    expect(page.locator("#empty")).to_be_visible()
    # Published while it is open.
    message_id = publish(alone, "http://127.0.0.1:1/later", HOSTILE, Delay="1h", Label=HOSTILE)
    waiting = row(page, "127.0.0.1:1/later")
    expect(waiting).to_contain_text("Waiting")
    expect(waiting).to_contain_text(re.compile(r"in (60|5\d) min"))
    expect(waiting).to_contain_text(HOSTILE)
    expect(page.locator("#count-messages")).to_have_text("1")
    waiting.get_by_role("button", name="Details").click()
    expect(page.locator("tr.opened pre")).to_have_text(HOSTILE)
    expect(page.locator("tr.opened")).to_contain_text(message_id)
    page.locator("#user").select_option("testUser1")
    expect(page.locator("#empty")).to_be_visible()
    page.locator("#user").select_option("defaultUser")
    waiting.get_by_role("button", name="Cancel").click()
    expect(page.locator("#said")).to_have_text("Cancelled.")
    expect(waiting).to_have_count(0)
    tokens = [user.token for user in DEVELOPMENT_USERS.values()]
    assert sent
    assert not [url for url in sent for token in tokens if token[:20] in url]


def test_it_retries_and_deletes_dead_letters(
    alone: str, open_page: OpenPage, destination: Destination
) -> None:
    destination.answers += [Answer(489, REFUSED, HOSTILE.encode()) for _ in range(3)]
    page = open_page(f"{alone}/#dlq")
    for name in ("first", "second", "third"):
        publish(alone, f"{destination.url}/{name}", f'{{"name": "{name}"}}')
        expect(row(page, f"/{name}")).to_contain_text("489")
    row(page, "/first").click()
    expect(page.locator("tr.opened pre").filter(has_text="<img")).to_have_text(HOSTILE)
    row(page, "/first").get_by_role("button", name="Retry").click()
    expect(row(page, "/first")).to_have_count(0)
    expect(page.locator("tr.opened")).to_have_count(0)
    row(page, "/second").get_by_role("button", name="Delete").click()
    expect(row(page, "/second")).to_have_count(0)
    page.get_by_role("button", name="Delete all").click()
    page.get_by_role("button", name="Keep").click()
    expect(row(page, "/third")).to_have_count(1)
    page.get_by_role("button", name="Delete all").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete all").click()
    expect(page.locator("#empty")).to_be_visible()
    eventually(lambda: len(destination.at("/first")) == 2)


def test_the_log_of_one_message(alone: str, open_page: OpenPage, destination: Destination) -> None:
    message_id = publish(alone, f"{destination.url}/hello", '{"hello": ["world"]}')
    publish(alone, f"{destination.url}/other")
    page = open_page(f"{alone}/#log")
    expect(row(page, "/other").filter(has_text="DELIVERED")).to_be_visible()
    row(page, "/hello").first.get_by_role("link").click()
    expect(page.locator("#message")).to_have_value(message_id)
    expect(row(page, "/other")).to_have_count(0)
    expect(row(page, "/hello")).to_have_count(3)
    page.locator("#state").select_option("DELIVERED")
    expect(row(page, "/hello")).to_have_count(1)
    page.get_by_role("button", name="Details").click()
    expect(page.locator("tr.opened pre").first).to_have_text('{\n  "hello": [\n    "world"\n  ]\n}')


def test_it_says_why_there_was_no_response_and_when_it_tries_again(
    alone: str, open_page: OpenPage
) -> None:
    page = open_page(f"{alone}/#log")
    publish(alone, "http://127.0.0.1:1/refused", Retry_Delay="3600000")
    expect(row(page, "ERROR")).to_contain_text("no response: connection refused")
    expect(row(page, "RETRY")).to_contain_text("next in 60 min")
    page.clock.set_fixed_time(time.time() + 7200)
    expect(row(page, "RETRY").get_by_text("next ")).to_be_hidden()
    publish(alone, "http://127.0.0.1:1/given-up", Retries="0")
    view(page, "Dead letters")
    expect(row(page, "/given-up")).to_contain_text("no response: connection refused")


def test_it_pauses_and_resumes(alone: str, open_page: OpenPage, destination: Destination) -> None:
    call("POST", f"{alone}/v2/queues", json={"queueName": "mails", "parallelism": 2})
    call("POST", f"{alone}/v2/queues/mails/pause")
    call("POST", f"{alone}/v2/enqueue/mails/{destination.url}/mail")
    cron = {"Upstash-Cron": "0 4 1 1 *", "Upstash-Schedule-Id": "yearly"}
    call("POST", f"{alone}/v2/schedules/{destination.url}/yearly", headers=cron)
    page = open_page(f"{alone}/#queues")
    expect(row(page, "mails")).to_contain_text("Paused")
    assert destination.delivered == []
    row(page, "mails").get_by_role("button", name="Resume").press("Enter")
    expect(row(page, "mails")).to_contain_text("Running")
    expect(row(page, "mails").get_by_role("button", name="Pause")).to_be_focused()
    view(page, "Log")
    expect(row(page, "/mail").filter(has_text="DELIVERED")).to_contain_text("queue mails")
    view(page, "Schedules")
    row(page, "yearly").get_by_role("button", name="Pause").click()
    expect(row(page, "yearly")).to_contain_text("Paused")
    assert call("GET", f"{alone}/v2/schedules/yearly")["isPaused"] is True
    row(page, "yearly").get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.locator("#empty")).to_be_visible()


def test_it_says_what_belongs_into_env(alone: str, open_page: OpenPage) -> None:
    page = open_page(f"{alone}/#setup")
    for name, user in DEVELOPMENT_USERS.items():
        page.locator("#user").select_option(name)
        env = page.locator("pre").first
        expect(env).to_contain_text(f"QSTASH_URL={alone}\nQSTASH_TOKEN={user.token}\n")
        expect(env).to_contain_text(f"QSTASH_CURRENT_SIGNING_KEY={user.current_key}")
    page.get_by_role("button", name="Copy").first.click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == page.locator("pre").first.text_content()


def test_it_says_whether_it_is_up_to_date(open_page: OpenPage) -> None:
    with running_qstash_alone() as alone:
        page = open_page(alone)
        expect(page.locator("#connection")).to_have_text("Live")
        page.route("**/page/users", lambda _: None)  # which is answered late
        page.reload()
        expect(page.locator("#connection")).to_have_text("Connecting")
        page.unroute_all()
        page.reload()
        expect(page.locator("#connection")).to_have_text("Live")
    expect(page.locator("#connection")).to_have_text("Not up to date")
    expect(page.locator("#why")).to_contain_text("The server cannot be reached")


def test_it_asks_again_for_what_it_did_not_get(
    alone: str, open_page: OpenPage, destination: Destination
) -> None:
    publish(alone, f"{destination.url}/hello")
    asked: list[Route] = []

    def fail_first(route: Route) -> None:
        asked.append(route)
        route.abort() if len(asked) == 1 else route.continue_()

    page = open_page("about:blank")
    page = open_page(f"{alone}/#log")
    page.route("**/page/users", fail_first)
    page.reload()
    expect(row(page, "DELIVERED")).to_be_visible()
    expect(page.locator("#connection")).to_have_text("Live")
    assert len(asked) == 2
    # Older entries are read once, but until they are there.
    for number in range(40):
        publish(alone, f"{destination.url}/{number}")
    expect(row(page, "/39").filter(has_text="DELIVERED")).to_be_visible()
    asked.clear()
    page.route("**/v2/logs?*cursor*", fail_first)
    page.get_by_role("button", name="Older").click()
    expect(row(page, "/hello").first).to_be_visible()
    expect(page.locator("#connection")).to_have_text("Older")
    page.get_by_role("button", name="Newest").click()
    expect(row(page, "/39").first).to_be_visible()


@pytest.mark.parametrize(("size", "scheme"), [("phone", "dark"), ("desktop", "light")])
def test_it_is_accessible_and_fits(
    alone: str, open_page: OpenPage, destination: Destination, size: str, scheme: str
) -> None:
    long = f"{destination.url}/{'a-long-path-of-a-destination/' * 6}"
    destination.answers.append(Answer(489, REFUSED, b"no"))
    publish(alone, long, '{"a": 1}')
    publish(alone, long, '{"a": 1}', Delay="1h", Label="one,two", Retries="2")
    endpoints = {"endpoints": [{"name": "one", "url": long}]}
    call("POST", f"{alone}/v2/topics/group/endpoints", json=endpoints)
    flow = {"Flow_Control_Key": "a-key", "Flow_Control_Value": "rate=1,period=1m"}
    publish(alone, long, Delay="1h", **flow)
    call("POST", f"{alone}/v2/queues", json={"queueName": "a-queue", "parallelism": 1})
    call("POST", f"{alone}/v2/schedules/{long}", headers={"Upstash-Cron": "0 4 * * *"})
    call("POST", f"{alone}/v2/flowControl/a-key/pin?parallelism=2")
    width, height = SIZES[size]
    page = open_page(alone, viewport={"width": width, "height": height}, color_scheme=scheme)
    for name in (*TABLES, "Setup"):
        view(page, name)
        expect(page.locator("tr.row, .setup").first).to_be_visible()
        unnamed = page.evaluate(UNNAMED) if size == "phone" else []
        assert unnamed == []
        if page.get_by_role("button", name="Details").count():
            page.get_by_role("button", name="Details").first.click()
            expect(page.locator("tr.opened dl")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert violations(page) == []
    ground = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert (ground == "rgb(18, 20, 27)") is (scheme == "dark")
