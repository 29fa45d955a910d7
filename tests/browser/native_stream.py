"""The native stream of one task, as a page gets it: from a script, in the place of the service."""

import json
from typing import Any

from playwright.sync_api import Page, Route

from tests.doubles.native import TASK, Event, frames


class Stream:
    """Each connection of the page gets the next step, and ends. `request`: that of the record."""

    def __init__(self, page: Page, request: dict[str, Any]) -> None:
        self._steps: list[list[Event]] = []
        self._sent = 0
        record = json.dumps({"request": request})
        page.route(
            f"**/api/tasks/{TASK}",
            lambda route: route.fulfill(body=record, content_type="application/json"),
        )
        page.route("**/api/tasks/stream?**", self._respond)

    def then(self, *events: Event) -> None:
        self._steps.append(list(events))

    def _respond(self, route: Route) -> None:
        events = self._steps.pop(0) if self._steps else []
        body = frames(events, first=self._sent + 1)
        self._sent += len(events)
        route.fulfill(body=body, content_type="text/event-stream; charset=utf-8")
