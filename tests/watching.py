"""A client of `GET /api/tasks/events`, which reads in a thread of its own."""

import contextlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import httpx_sse

from tests.running import Event
from tests.waiting import eventually, within


class Watch:
    """What one or more connections gave."""

    def __init__(self, http: httpx.Client, last_id: str = "") -> None:
        self._http = http
        self.last_id = last_id
        self.events: list[Event] = []
        self.ended = threading.Event()
        """Set when a connection was ended by the service or broke."""

    @property
    def statuses(self) -> dict[str, str]:
        """The last status of each task that is not deleted."""
        found: dict[str, str] = {}
        for each in list(self.events):
            if each.type == "task":
                found[each.data["taskId"]] = each.data["task"]["status"]
            elif each.type == "deleted":
                found.pop(each.data["taskId"], None)
        return found

    def told_of(self, task_id: str) -> list[str]:
        """The statuses that it was told of a task; `deleted` at its end."""
        return [
            each.data["task"]["status"] if each.type == "task" else each.type
            for each in list(self.events)
            if each.data.get("taskId") == task_id
        ]

    def wait_for(self, task_id: str, status: str) -> None:
        eventually(lambda: self.statuses.get(task_id) == status)

    def wait_for_id(self, task_id: str) -> str:
        """Wait until the id to resume with lies behind the end of a task, and return it."""
        eventually(lambda: self.has_passed(task_id))
        return self.last_id

    def has_passed(self, task_id: str) -> bool:
        """Whether the id to resume with lies behind the end of a task."""
        finished = [
            each.data["task"]["finishedAt"]
            for each in list(self.events)
            if each.type == "task" and each.data["taskId"] == task_id
        ]
        return bool(finished and finished[-1]) and int(self.last_id) >= finished[-1]

    @contextmanager
    def connected(self, **query: str) -> Iterator["Watch"]:
        """One connection, which goes on behind the last id. Returns once the service has sent its
        first event."""
        self.ended.clear()
        before = len(self.events)
        headers = {"Last-Event-ID": self.last_id} if self.last_id else {}
        with contextlib.ExitStack() as stack:
            source = stack.enter_context(
                httpx_sse.connect_sse(
                    self._http, "GET", "/api/tasks/events", headers=headers, params=query
                )
            )
            assert source.response.status_code == 200, source.response.read()
            thread = threading.Thread(target=self._read, args=(source,), daemon=True)
            thread.start()
            eventually(lambda: len(self.events) > before)
            assert self.events[before].type == "connected"
            yield self
            _hang_up(source.response)
            thread.join(within(10))

    def _read(self, source: httpx_sse.EventSource) -> None:
        try:
            for each in source.iter_sse():
                data: dict[str, Any] = json.loads(each.data)
                # httpx_sse repeats the last id on events that carry none of their own.
                own = each.id != self.last_id or data["type"] == "connected"
                self.last_id = each.id
                self.events.append(Event(each.id if own else "", data))
        except (httpx.HTTPError, OSError, httpx.StreamError):
            pass
        finally:
            self.ended.set()


def _hang_up(response: httpx.Response) -> None:
    """Close the connection under the thread that reads it."""
    stream = response.extensions["network_stream"]
    own = stream.get_extra_info("socket")
    with contextlib.suppress(OSError):
        own.shutdown(2)
