"""The calls of the native API, as commands make them: each fault is one sentence."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Self

import click
import httpx
import httpx_sse

from domain.errors import MalformedTaskId
from domain.task_id import check_task_id
from entrypoints.client.server import Server
from entrypoints.terminal import printable

Body = dict[str, Any]
Query = Sequence[tuple[str, str]]

_TIMEOUT = httpx.Timeout(10.0, read=45.0)
"""Seconds. The service sends a comment at every ping interval (15 s by default), so a connection
without a byte for three of them is dead."""
UNREACHABLE = "unreachable"
_RESERVED = {"start", "stream", "events"}


class ServiceError(click.ClickException):
    """Raised with one sentence, if the service cannot be reached or refuses a call."""

    def __init__(self, message: str, status: int = 0, kind: str = "") -> None:
        """`status`: that of the response, 0 without one. `kind`: the name of the problem, such as
        `unknown-task`; none if it has no name."""
        super().__init__(printable(message))
        self.status = status
        self.kind = kind

    @property
    def passing(self) -> bool:
        """Whether the same call may succeed later."""
        return self.kind == UNREACHABLE or self.status >= 500


class Api:
    """A connection to a service. Close it, or use it as an asynchronous context."""

    def __init__(self, server: Server) -> None:
        self._server = server
        headers = {"Authorization": f"Bearer {server.key}"} if server.key else {}
        self._http = httpx.AsyncClient(base_url=server.url, timeout=_TIMEOUT, headers=headers)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def start(self, body: Body) -> Body:
        """Start a task; return what the service says of it, its `taskId` at least. This and the
        calls below raise `ServiceError`."""
        return self._body(await self._call("POST", "/api/tasks/start", body), 202)

    async def retry(self, task_id: str) -> Body:
        """Start the request of a task anew; return what the service says of the new one."""
        return self._body(await self._call("POST", f"{_path(task_id)}/retry"), 202)

    async def record(self, task_id: str) -> Body:
        """Return the record of a task, its `taskId` and `status` at least."""
        return self._record(await self._call("GET", _path(task_id)))

    async def cancel(self, task_id: str) -> Body:
        """Cancel a task; return its record."""
        return self._record(await self._call("POST", f"{_path(task_id)}/cancel"))

    async def delete(self, task_id: str) -> None:
        """Delete a task."""
        response = await self._call("DELETE", _path(task_id))
        if response.status_code != 204:
            raise self.refusal(response)

    async def page(self, query: Query) -> Body:
        """Return a page of the list: `tasks`, of which each has a `taskId` and `status` at least,
        and `next`, the cursor of the next page or None."""
        response = await self._call("GET", "/api/tasks", query=query)
        body = self._json(response)
        if not _is_page(body):
            raise self.refusal(response)
        return dict(body)

    async def usage(self, query: Query) -> Body:
        """Return what was used: `rows` and their `total`, of which each is an object."""
        response = await self._call("GET", "/api/usage", query=query)
        body = self._json(response)
        if not _is_report(body):
            raise self.refusal(response)
        return dict(body)

    async def me(self) -> Body:
        """Return the caller: its `owner`, its `limits` and its `share`."""
        response = await self._call("GET", "/api/me")
        body = self._json(response)
        limits = body.get("limits") if isinstance(body, dict) else None
        if not isinstance(limits, list) or not all(isinstance(each, dict) for each in limits):
            raise self.refusal(response)
        return dict(body)

    def changes(self, after: str) -> AbstractAsyncContextManager[httpx_sse.EventSource]:
        """Watch the caller's tasks, those that changed since `after` first, which is the id of an
        event; without one, those of the last hour. All else is in the response."""
        headers = {"Last-Event-ID": after} if after else {}
        return httpx_sse.aconnect_sse(self._http, "GET", "/api/tasks/events", headers=headers)

    def stream(
        self, task_id: str, after: str
    ) -> AbstractAsyncContextManager[httpx_sse.EventSource]:
        """Follow a task behind the event with the id `after`, or from the first one.
        Raises `ServiceError` if it has no such id; all else is in the response."""
        headers = {"Last-Event-ID": after} if after else {}
        query = {"taskId": _checked(task_id)}
        return httpx_sse.aconnect_sse(
            self._http, "GET", "/api/tasks/stream", params=query, headers=headers
        )

    def unreachable(self, error: Exception) -> ServiceError:
        """Return what is said of a service to which a call failed."""
        server, what = self._server, type(error).__name__
        if "SSL" in str(error):  # a certificate that is not trusted, or a server that speaks no TLS
            what = f"{what}, {error}"
        sentence = f"cannot reach {server.shown} ({what}): {server.about_address}"
        return ServiceError(sentence, kind=UNREACHABLE)

    def refusal(self, response: httpx.Response) -> ServiceError:
        """Return what is said of a response, which has been read, that is not the wanted one."""
        status = response.status_code
        advice = f" ({self._server.about_key})" if status == 401 else ""
        try:
            problem = response.json()
            kind = str(problem.get("type", "")).rpartition(":")[2]
            return ServiceError(f"{status}: {problem['error']}{advice}", status, kind)
        except (ValueError, KeyError, TypeError, AttributeError):
            known = status >= 500  # a proxy whose service is down
            doubt = "" if known else ", but not as Longtask does: is --server right?"
            return ServiceError(f"the server responded with {status}{doubt}", status)

    async def _call(
        self, method: str, path: str, body: Body | None = None, query: Query = ()
    ) -> httpx.Response:
        try:
            response = await self._http.request(method, path, json=body, params=list(query) or None)
        except httpx.HTTPError as error:
            raise self.unreachable(error) from error
        if not response.is_success:
            raise self.refusal(response)
        return response

    def _record(self, response: httpx.Response) -> Body:
        record = self._body(response, 200, 202)
        if not isinstance(record.get("status"), str):
            raise self.refusal(response)
        return record

    def _body(self, response: httpx.Response, *statuses: int) -> Body:
        body = self._json(response)
        named = isinstance(body, dict) and isinstance(body.get("taskId"), str)
        if response.status_code not in statuses or not named:
            raise self.refusal(response)
        return dict(body)

    @staticmethod
    def _json(response: httpx.Response) -> Any:
        try:
            return response.json()
        except ValueError:
            return None


def is_summary(value: Any) -> bool:
    """Whether the service may have sent this of a task."""
    return isinstance(value, dict) and all(
        isinstance(value.get(name), str) for name in ("taskId", "status")
    )


def _is_page(body: Any) -> bool:
    return (
        isinstance(body, dict)
        and isinstance(body.get("tasks"), list)
        and all(is_summary(each) for each in body["tasks"])
        and isinstance(body.get("next"), str | None)
    )


def _is_report(body: Any) -> bool:
    return (
        isinstance(body, dict)
        and isinstance(body.get("rows"), list)
        and all(isinstance(each, dict) for each in (body.get("total"), *body["rows"]))
        and isinstance(body.get("unpriced"), list | None)
    )


def _path(task_id: str) -> str:
    return f"/api/tasks/{_checked(task_id)}"


def _checked(task_id: str) -> str:
    """Return an id that may stand in an address. A `/` or `..` would lead to another one, and so do
    the ids that are reserved."""
    try:
        check_task_id(task_id)
    except MalformedTaskId as error:
        raise ServiceError(str(error), 404) from None
    if task_id in _RESERVED:
        raise ServiceError(f"no task has the id '{task_id}'", 404)
    return task_id
