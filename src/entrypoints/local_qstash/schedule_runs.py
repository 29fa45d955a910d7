"""What became of the last publish of each schedule.

It is kept apart from the schedule, whose body may be long and need not be written again for that.
What is in the file may be older than what is in memory, by a write.
"""

import asyncio
from collections.abc import Collection, Iterable
from typing import Any

import structlog

from entrypoints.local_qstash.message import QueuedMessage
from entrypoints.local_qstash.records import SCHEDULE_RUNS, SCHEDULES, Records
from entrypoints.local_qstash.refusals import Refused
from entrypoints.local_qstash.states import State

log = structlog.get_logger(__name__)

IN_PROGRESS = "IN_PROGRESS"
FAIL = "FAIL"
ENDS = {State.DELIVERED: "SUCCESS", State.FAILED: FAIL, State.CANCELED: FAIL}
"""How a run shows that a message has ended."""


class ScheduleRuns:
    def __init__(self, records: Records) -> None:
        self._records = records
        self._runs: dict[str, dict[str, Any]] = {}
        self._writing: set[asyncio.Task[None]] = set()

    def resume(self, under_way: Collection[str]) -> None:
        """Go on with what an earlier process has noted. `under_way`: the ids of the messages that
        it has not delivered. What became of others that it had begun is not known."""
        for schedule_id, run in self._records.of(SCHEDULE_RUNS).items():
            known = {
                message_id: state
                for message_id, state in run["states"].items()
                if state != IN_PROGRESS or message_id in under_way
            }
            self._runs[schedule_id] = {**run, "states": known}

    async def aclose(self) -> None:
        """Return once what was noted is kept."""
        await asyncio.gather(*self._writing, return_exceptions=True)

    def of(self, schedule_id: str) -> dict[str, Any]:
        """Return when its last run was (`at`, in milliseconds since the Unix epoch), the `states`
        of the messages by their ids, and the `error` if not all of them were published. Empty if
        there was none."""
        return self._runs.get(schedule_id, {})

    def begin(self, schedule_id: str, at: int, message_ids: Iterable[str]) -> None:
        """Must be called before they are published: they may end before that returns."""
        self._keep(schedule_id, {"at": at, "states": dict.fromkeys(message_ids, IN_PROGRESS)})

    def fail(self, schedule_id: str, at: int, error: str, message_ids: Iterable[str]) -> None:
        """Note that these messages of the run were refused, or that it has created none."""
        run = self.of(schedule_id)
        begun = run["states"] if run.get("at") == at else {}
        states = {**begun, **dict.fromkeys(message_ids, FAIL)}
        self._keep(schedule_id, {"at": at, "states": states, "error": error})

    def forget(self, schedule_id: str, message_ids: Collection[str]) -> None:
        """Forget these messages of the run: others were published in their place."""
        run = self.of(schedule_id)
        if message_ids and run:
            left = {each: run["states"][each] for each in run["states"] if each not in message_ids}
            self._keep(schedule_id, {**run, "states": left})

    def note(self, message: QueuedMessage, state: State) -> None:
        """Must be called with each state of each message."""
        if message.schedule_id is None or state not in ENDS:
            return
        run = self.of(message.schedule_id)
        if message.id in run.get("states", {}):
            states = {**run["states"], message.id: ENDS[state]}
            self._keep(message.schedule_id, {**run, "states": states})

    async def drop(self, schedule_id: str) -> None:
        """Raises Unavailable."""
        self._runs.pop(schedule_id, None)
        await self._records.drop(SCHEDULE_RUNS, schedule_id)

    def _keep(self, schedule_id: str, run: dict[str, Any]) -> None:
        self._runs[schedule_id] = run
        task = asyncio.create_task(self._write(schedule_id))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def _write(self, schedule_id: str) -> None:
        try:
            if schedule_id in self._runs:
                await self._records.put(SCHEDULE_RUNS, schedule_id, self._runs[schedule_id])
            if schedule_id not in self._records.of(SCHEDULES):  # it was deleted meanwhile
                await self.drop(schedule_id)
        except Refused as error:
            log.warning("run of a schedule not kept", schedule_id=schedule_id, error=str(error))
        except Exception:
            log.exception("run of a schedule not kept", schedule_id=schedule_id)
