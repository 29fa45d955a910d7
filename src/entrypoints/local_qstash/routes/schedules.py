"""Schedules."""

import base64
from typing import Annotated, Any

from litestar import Controller, HttpMethod, Request, delete, get, post, route
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter

from entrypoints.local_qstash.account import Account
from entrypoints.local_qstash.addressing import is_url
from entrypoints.local_qstash.publish_headers import read_message
from entrypoints.local_qstash.refusals import BadMessage
from entrypoints.local_qstash.routes.reading import headers_of, not_found
from entrypoints.local_qstash.schedules import Schedules

Destination = Annotated[str, QueryParameter(name="destination")]

METHODS = [HttpMethod.POST, HttpMethod.PATCH]
"""QStash's description pauses and resumes by POST, its SDKs by PATCH."""
NOT_OF_SCHEDULES = ("messageId", "url", "notBefore", "maxRetries", "scheduleId", "topicName")
"""What a message shows and a schedule does not, or by another name."""


class ScheduleRoutes(Controller):
    path = "/v2/schedules"

    @post("/", status_code=200)
    async def create(
        self,
        request: Request[Any, Any, Any],
        destination: Destination,
        account: NamedDependency[Account],
    ) -> dict[str, str]:
        cron = request.headers.get("upstash-cron")
        if cron is None:
            raise BadMessage("a schedule needs the header Upstash-Cron")
        schedule_id = await account.schedules.put(
            destination,
            headers_of(request),
            await request.body(),
            cron=cron,
            schedule_id=request.headers.get("upstash-schedule-id"),
            queue=request.headers.get("upstash-queue-name"),
            caller_ip=request.client.host if request.client else None,
        )
        return {"scheduleId": schedule_id}

    @get("/")
    async def list_schedules(self, account: NamedDependency[Account]) -> list[dict[str, Any]]:
        return [shown(account.schedules, each) for each in account.schedules.all()]

    @get("/{schedule_id:str}")
    async def show(
        self, schedule_id: FromPath[str], account: NamedDependency[Account]
    ) -> dict[str, Any]:
        if schedule_id not in account.schedules.all():
            raise not_found("schedule")
        return shown(account.schedules, schedule_id)

    @delete("/{schedule_id:str}", status_code=200)
    async def remove(self, schedule_id: FromPath[str], account: NamedDependency[Account]) -> None:
        await account.schedules.delete(schedule_id)

    @route("/{schedule_id:str}/pause", http_method=METHODS, status_code=200)
    async def pause(self, schedule_id: FromPath[str], account: NamedDependency[Account]) -> None:
        if not await account.schedules.pause(schedule_id, True):
            raise not_found("schedule")

    @route("/{schedule_id:str}/resume", http_method=METHODS, status_code=200)
    async def resume(self, schedule_id: FromPath[str], account: NamedDependency[Account]) -> None:
        if not await account.schedules.pause(schedule_id, False):
            raise not_found("schedule")


def shown(schedules: Schedules, schedule_id: str) -> dict[str, Any]:
    """Return a schedule as `GET /v2/schedules/{id}` shows it."""
    schedule, run = schedules.all()[schedule_id], schedules.runs.of(schedule_id)
    destination, created_at = schedule["destination"], schedule["created_at"]
    message = read_message(
        destination if is_url(destination) else "http://url-group.invalid",
        schedule["headers"],
        base64.b64decode(schedule["body"]),
        now=created_at / 1000,
        queue=schedule["queue"],
        caller_ip=schedule["caller_ip"],
    )
    published = message.as_json()
    if not message.body:
        published.pop("body", None)
    delay = (message.not_before - created_at) // 1000
    more = {
        "delay": delay or None,
        "timeout": None if message.timeout is None else int(message.timeout),
        "callerIp": message.caller_ip,
        "lastScheduleTime": run.get("at"),
        "nextScheduleTime": schedules.next_of(schedule_id),
        "lastScheduleStates": run.get("states") or None,
        "error": run.get("error"),
    }
    return {
        "scheduleId": schedule_id,
        "cron": schedule["cron"],
        "destination": destination,
        "isPaused": schedule["paused"],
        **{name: value for name, value in published.items() if name not in NOT_OF_SCHEDULES},
        "createdAt": created_at,
        "retries": message.retries,
        **{name: value for name, value in more.items() if value is not None},
    }
