"""What a page's main thread does at once, by its CPU time: on a machine that others use, the wall
clock shows them too."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, Page

CATEGORIES = ["toplevel"]


class Tasks:
    """The tasks that the main threads of pages ran while they were watched."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        """The CPU time of each."""

    @property
    def longest(self) -> float:
        return max(self.seconds)

    def read(self, trace: bytes) -> None:
        events: list[dict[str, Any]] = json.loads(trace)["traceEvents"]
        threads = {
            (each["pid"], each["tid"])
            for each in events
            if each["name"] == "thread_name" and each["args"]["name"] == "CrRendererMain"
        }
        self.seconds = [
            each["tdur"] / 1_000_000
            for each in events
            if each["name"] == "ThreadControllerImpl::RunTask"
            and (each["pid"], each["tid"]) in threads
            and "tdur" in each
        ]


@contextmanager
def watched(browser: Browser, page: Page) -> Iterator[Tasks]:
    """Watch the tasks; they are there to be read once the block is left."""
    tasks = Tasks()
    browser.start_tracing(page=page, categories=CATEGORIES)
    try:
        yield tasks
    finally:
        tasks.read(browser.stop_tracing())


_SHIFTS = """() => {
    window.shifted = 0;
    window.shifts = [];
    let [total, first, last] = [0, -Infinity, -Infinity];
    new PerformanceObserver((list) => {
        for (const { value, startTime, hadRecentInput, sources } of list.getEntries()) {
            if (hadRecentInput) continue;
            if (startTime - last > 1000 || startTime - first > 5000) [total, first] = [0, startTime];
            [total, last] = [total + value, startTime];
            window.shifted = Math.max(window.shifted, total);
            const nodes = sources.map(({ node }) => node?.id || node?.className || node?.nodeName);
            window.shifts.push([value, ...nodes.map(String)]);
        }
    }).observe({ type: "layout-shift" });
}"""


def watch_shifts(page: Page) -> None:
    """Add up what moves though nobody has done anything: see `shifted`."""
    page.evaluate(_SHIFTS)


def shifted(page: Page) -> float:
    """Return how much has moved in the worst five seconds (CLS): parts of the page, times how far,
    as parts of the page."""
    return float(page.evaluate("window.shifted"))
