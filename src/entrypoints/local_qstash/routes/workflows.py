"""What the SDK of Upstash Workflow asks beside publishing the steps of its runs."""

from typing import Any

from litestar import Controller, Request, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from entrypoints.local_qstash.account import Account
from entrypoints.local_qstash.refusals import BadMessage
from entrypoints.local_qstash.routes.reading import json_of, not_found
from entrypoints.local_qstash.whole_numbers import whole_number


class WorkflowRoutes(Controller):
    path = "/v2"

    @get("/workflows/runs/{run_id:str}")
    async def steps(
        self, run_id: FromPath[str], account: NamedDependency[Account]
    ) -> list[dict[str, Any]]:
        steps = account.workflow_runs.steps(run_id)
        if steps is None:
            raise not_found("workflow run")
        return steps

    @delete("/workflows/runs/{run_id:str}", status_code=200)
    async def end(
        self,
        run_id: FromPath[str],
        account: NamedDependency[Account],
        cancel: FromQuery[bool] = True,
    ) -> None:
        """A workflow that has come to its end says so by `cancel=false`, with its result; and again
        if it did not hear that this was noted, as when this process was killed."""
        if not await account.workflow_runs.end(run_id, cancel=cancel) and cancel:
            raise not_found("workflow run")

    @delete("/workflows/runs", status_code=200)
    async def cancel_many(
        self, request: Request[Any, Any, Any], account: NamedDependency[Account]
    ) -> dict[str, int]:
        chosen = _chosen(request, account)
        ended = [await account.workflow_runs.end(each, cancel=True) for each in chosen]
        return {"cancelled": sum(ended)}

    @post("/wait/{event_id:str}", status_code=200)
    async def wait(
        self,
        request: Request[Any, Any, Any],
        event_id: FromPath[str],
        account: NamedDependency[Account],
    ) -> None:
        run_id = request.headers.get("upstash-workflow-runid")
        if run_id is None:
            raise BadMessage("Upstash-Workflow-RunId is missing")
        await account.workflow_events.wait(event_id, run_id, await json_of(request))

    @get("/waiters/{event_id:str}")
    async def waiters(
        self, event_id: FromPath[str], account: NamedDependency[Account]
    ) -> list[dict[str, Any]]:
        return account.workflow_events.waiters(event_id)

    @post("/notify/{event_id:str}", status_code=200)
    async def notify(
        self,
        request: Request[Any, Any, Any],
        event_id: FromPath[str],
        account: NamedDependency[Account],
    ) -> list[dict[str, Any]]:
        return await account.workflow_events.notify(event_id, await request.body())

    @post("/notify/{run_id:str}/{event_id:str}", status_code=200)
    async def notify_run(
        self,
        request: Request[Any, Any, Any],
        run_id: FromPath[str],
        event_id: FromPath[str],
        account: NamedDependency[Account],
    ) -> list[dict[str, Any]]:
        return await account.workflow_events.notify(event_id, await request.body(), run_id)


def _chosen(request: Request[Any, Any, Any], account: Account) -> list[str]:
    """Return the ids of the runs that a request names: by their ids, by the URL of their workflow
    or how that begins, or all. Raises BadMessage for a criterion that is not known: it must not
    stand for all runs."""
    given = request.query_params
    known = {"workflowRunIds", "workflowUrl", "workflowUrlExactMatch", "count"}
    if unknown := set(given) - known:
        raise BadMessage(f"unknown: {', '.join(sorted(unknown))}")
    if "workflowUrlExactMatch" in given and "workflowUrl" not in given:
        raise BadMessage("workflowUrlExactMatch needs workflowUrl")
    count = None
    if "count" in given and (count := whole_number(given["count"], 9)) is None:
        raise BadMessage("count must be a whole number")
    if ids := given.getall("workflowRunIds", []):
        return list(dict.fromkeys(one for each in ids for one in each.split(",")))
    url, exact = given.get("workflowUrl", ""), given.get("workflowUrlExactMatch") == "true"
    chosen = [
        run_id
        for run_id, run in account.workflow_runs.all().items()
        if (run["url"] == url if exact else run["url"].startswith(url))
    ]
    return chosen[:count]
