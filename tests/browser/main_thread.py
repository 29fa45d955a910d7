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
    window.shifts = [];
    new PerformanceObserver((list) => {
        for (const { value, hadRecentInput, sources } of list.getEntries()) {
            if (hadRecentInput) continue;
            const nodes = sources.map(({ node }) => node?.id || node?.className || node?.nodeName);
            window.shifts.push([value, ...nodes.map(String)]);
        }
    }).observe({ type: "layout-shift" });
}"""


def watch_shifts(page: Page) -> None:
    """Note what moves from now on without any input: see `shifts`."""
    page.evaluate(_SHIFTS)


def shifts(page: Page) -> list[tuple[float, list[str]]]:
    """Return each shift of the layout, the largest first: which part of the page moved times how
    far, as parts of the page, and names of what moved."""
    found = [(float(value), nodes) for value, *nodes in page.evaluate("window.shifts")]
    return sorted(found, reverse=True)
