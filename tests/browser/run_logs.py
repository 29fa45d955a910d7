"""Logs of runs, and the panel that shows them."""

from typing import Any

from playwright.sync_api import Page

Log = list[dict[str, Any]]

MOUNT = """async ({ log, beganAgo, notBefore }) => {
    const { RunPanel } = await import("/web/run-panel.js");
    if (window.panel === undefined) {
        const root = document.getElementById("run-panel"); // in the place of the page's own
        root.closest("section").hidden = false;
        window.panel = new RunPanel(root);
    }
    const began = Date.now() - beganAgo;
    window.panel.reset();
    window.panel.plan(notBefore && began + notBefore);
    for (const [number, each] of log.entries()) {
        const { at, nextAttemptAt, ...event } = each;
        if (nextAttemptAt) event.nextAttemptAt = began + nextAttemptAt;
        window.panel.add({ ...event, taskId: "task_1", timestamp: began + at }, `abcd-${number + 1}`);
    }
    window.panel.show();
}"""


def status(at: int, data: str, attempt: int, **more: Any) -> dict[str, Any]:
    return {"type": "status", "at": at, "data": data, "attempt": attempt, **more}


def content(at: int, data: str) -> dict[str, Any]:
    return {"type": "content", "at": at, "data": data}


def end(at: int, **more: Any) -> dict[str, Any]:
    said = {"data": "text", "finishReason": "stop", "usage": None, "model": "model-1"}
    return {"type": "end", "at": at, **said, **more}


def show_run(
    page: Page, log: Log, began_ago: int = 3_600_000, not_before: int | None = None
) -> None:
    """Show a log in the panel. `began_ago`: how long ago it began, in milliseconds; `not_before`:
    how long after that the task was to begin."""
    page.evaluate(MOUNT, {"log": log, "beganAgo": began_ago, "notBefore": not_before})


def shown_steps(page: Page) -> list[list[str]]:
    """What each step of the timeline says: its title, its time, its details."""
    found: list[list[str]] = page.evaluate(
        """[...document.querySelectorAll(".timeline > .step")].map((step) =>
            [...step.querySelectorAll(".step-title > *, .step-detail")].map((each) => each.textContent))"""
    )
    return found


def shown_facts(page: Page) -> list[str]:
    """The numbers: the time, the time to the first token, tokens, tokens a second."""
    return page.locator(".run-facts > div:not([hidden]) dd").all_text_contents()
