"""Schedules: publishes that are repeated by a cron expression.

A schedule is kept as the publish that it repeats. Source: QStash's documentation,
features/schedules and api-reference/schedules.
"""

import asyncio
import base64
import hashlib
import json
import secrets
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any

import structlog

from entrypoints.local_qstash.addressing import messages_of
from entrypoints.local_qstash.bounds import MESSAGE_LIMIT, SCHEDULE_BYTES
from entrypoints.local_qstash.cron import next_time
from entrypoints.local_qstash.message import QueuedMessage
from entrypoints.local_qstash.names import checked_name
from entrypoints.local_qstash.pauses import LOOK
from entrypoints.local_qstash.records import SCHEDULES, Records
from entrypoints.local_qstash.refusals import MessageTooLarge, Refused, TooMany
from entrypoints.local_qstash.schedule_runs import ScheduleRuns
from entrypoints.local_qstash.sendable import Headers
from entrypoints.local_qstash.timetable import LATE, Timetable
from entrypoints.local_qstash.url_groups import UrlGroups

log = structlog.get_logger(__name__)

_OF_ONE_MESSAGE = (
    "upstash-cron",
    "upstash-schedule-id",
    "upstash-not-before",
    "upstash-deduplication-id",
    "upstash-content-based-deduplication",
)
"""Headers that say nothing of the messages of a schedule, or would let only the first pass."""

Publish = Callable[[Sequence[QueuedMessage]], Awaitable[list[tuple[str, bool] | Refused]]]


def milliseconds() -> int:
    return int(time.time() * 1000)


class Schedules:
    def __init__(
        self,
        records: Records,
        url_groups: UrlGroups,
        publish: Publish,
        message_limit: int = MESSAGE_LIMIT,
        stopping: Callable[[], bool] = lambda: False,
        now: Callable[[], int] = milliseconds,
    ) -> None:
        """`message_limit`: bytes of a message's body. Once `stopping` returns True, nothing is
        published. `now` returns milliseconds since the Unix epoch."""
        self._records = records
        self._url_groups = url_groups
        self._publish = publish
        self._message_limit = message_limit
        self._stopping = stopping
        self._now = now
        self._timetable = Timetable()
        self.runs = ScheduleRuns(records)
        self._changing = asyncio.Lock()
        self._changed = asyncio.Event()
        self._following: asyncio.Task[None] | None = None

    def resume(self, under_way: Collection[str]) -> None:
        """Begin, and go on with what an earlier process has left. `under_way`: the ids of the
        messages that it has not delivered. What was due less than a minute ago, and was not
        published, is due now."""
        self.runs.resume(under_way)
        now = self._now()
        for schedule_id, schedule in self.all().items():
            done = max(schedule.get("since", now), self.runs.of(schedule_id).get("at", 0))
            after = min(max(done, now - LATE), now)
            self._timetable.follow(schedule_id, schedule["cron"], after)
        self._following = asyncio.create_task(self._follow())

    async def stop(self) -> None:
        """Publish nothing any more."""
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)

    async def aclose(self) -> None:
        """Must be called once no more messages end."""
        await self.stop()
        await self.runs.aclose()

    def all(self) -> Mapping[str, dict[str, Any]]:
        """Return the records of the schedules by their ids."""
        return self._records.of(SCHEDULES)

    def next_of(self, schedule_id: str) -> int | None:
        return self._timetable.next_of(schedule_id)

    async def put(
        self,
        destination: str,
        headers: Headers,
        body: bytes,
        *,
        cron: str,
        schedule_id: str | None = None,
        queue: str | None = None,
        caller_ip: str | None = None,
    ) -> str:
        """Create a schedule, or let the one of this id publish this from now on; a pause goes on.
        Returns its id. Raises BadMessage, MessageTooLarge, TooMany or Unavailable."""
        schedule_id = f"scd_{secrets.token_urlsafe(20)}" if schedule_id is None else schedule_id
        checked_name(schedule_id, "schedule id")
        if len(body) > self._message_limit:
            raise MessageTooLarge()
        now = self._now()
        cron = cron.strip()
        schedule: dict[str, Any] = {
            "cron": cron,
            "destination": destination,
            "headers": {name: value for name, value in headers.items() if _repeats(name)},
            "body": base64.b64encode(body).decode(),
            "queue": queue,
            "caller_ip": caller_ip,
            "created_at": now,
            "since": now,
            "paused": False,
        }
        next_time(cron, now)
        self._messages(schedule_id, schedule, now)
        async with self._changing:
            if (earlier := self.all().get(schedule_id)) is not None:
                schedule |= {each: earlier[each] for each in ("created_at", "paused")}
            others = (each for name, each in self.all().items() if name != schedule_id)
            if sum(map(_size_of, others)) + _size_of(schedule) > SCHEDULE_BYTES:
                raise TooMany(SCHEDULES)
            await self._records.put(SCHEDULES, schedule_id, schedule)
            self._timetable.put(schedule_id, cron, now)
            self._changed.set()
        return schedule_id

    async def pause(self, schedule_id: str, paused: bool) -> bool:
        """Pause or resume it. While it is paused it is due all the same, but publishes nothing.
        Returns whether there is such a schedule. Raises Unavailable."""
        async with self._changing:
            schedule = self.all().get(schedule_id)
            if schedule is None:
                return False
            changed = {**schedule, "paused": paused, "since": self._now()}
            await self._records.put(SCHEDULES, schedule_id, changed)
            return True

    async def delete(self, schedule_id: str) -> None:
        """Delete the schedule, if there is one. Its messages stay. Raises BadMessage if no schedule
        can have this id, or Unavailable."""
        checked_name(schedule_id, "schedule id")
        async with self._changing:
            await self._records.drop(SCHEDULES, schedule_id)
            self._timetable.drop(schedule_id)
            await self.runs.drop(schedule_id)

    async def publish_due(self) -> None:
        """Publish what is due now."""
        due = self._timetable.take_due(self._now())
        if not self._stopping():
            firing = (self._fire(each, at) for each, at in due.items())
            results = await asyncio.gather(*firing, return_exceptions=True)
            for schedule_id, result in zip(due, results, strict=True):
                if isinstance(result, Exception):
                    log.error("schedule failed", schedule_id=schedule_id, exc_info=result)

    async def _follow(self) -> None:
        while True:
            self._changed.clear()
            at = self._timetable.earliest()
            left = None if at is None else min(max(at - self._now(), 0) / 1000, LOOK)
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._changed.wait()
            try:
                await self.publish_due()
            except Exception:
                log.exception("schedules not published")
                await asyncio.sleep(LOOK)

    async def _fire(self, schedule_id: str, at: int) -> None:
        schedule = self.all().get(schedule_id)
        if schedule is None or schedule["paused"]:
            return
        now = self._now()
        refused: list[str] = []
        try:
            messages = self._messages(schedule_id, schedule, now)
            for each in messages:
                each.deduplication = _name_of(schedule_id, at, each.url)
            refused = [each.id for each in messages]
            self.runs.begin(schedule_id, now, refused)
            results = await self._publish(messages)
            pairs = list(zip(messages, results, strict=True))
            refused = [each.id for each, result in pairs if isinstance(result, Refused)]
            self.runs.forget(schedule_id, [each.id for each, result in pairs if _is_known(result)])
            for result in results:
                if isinstance(result, Refused):
                    raise result
        except Refused as error:
            log.warning("schedule not published", schedule_id=schedule_id, error=str(error))
            self.runs.fail(schedule_id, now, str(error), refused)

    def _messages(
        self, schedule_id: str, schedule: dict[str, Any], now: int
    ) -> list[QueuedMessage]:
        return messages_of(
            self._url_groups,
            schedule["destination"],
            schedule["headers"],
            base64.b64decode(schedule["body"]),
            now=now / 1000,
            queue=schedule["queue"],
            caller_ip=schedule["caller_ip"],
            schedule_id=schedule_id,
        )


def _name_of(schedule_id: str, at: int, url: str) -> str:
    """Return the name under which a message is published once for each time that is due. A process
    may end behind the publish, and the next one find the schedule still due."""
    return f"schedule:{at}:{hashlib.sha256(f'{schedule_id} {url}'.encode()).hexdigest()}"


def _is_known(result: tuple[str, bool] | Refused) -> bool:
    """Whether an earlier process has published the message, and ended before it noted that."""
    return not isinstance(result, Refused) and result[1]


def _repeats(name: str) -> bool:
    """Whether this header of the request says what is published. (Its token must not be kept.)"""
    lower = name.lower()
    return lower == "content-type" or (
        lower.startswith("upstash-") and lower not in _OF_ONE_MESSAGE
    )


def _size_of(schedule: dict[str, Any]) -> int:
    return (
        len(schedule["body"]) + len(json.dumps(schedule["headers"])) + len(schedule["destination"])
    )
