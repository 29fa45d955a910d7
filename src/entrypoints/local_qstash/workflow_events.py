"""Runs of Upstash Workflow that wait for an event, and what notifies them of it.

A wait publishes the step of its time-out at once, to be delivered when that is over. What notifies
the run cancels that message and publishes the step with the event instead; the store does both in
one step.
"""

import base64
import time
from collections.abc import Mapping
from typing import Any

import msgspec

from entrypoints.local_qstash.bounds import RECORDS, WAIT_BYTES
from entrypoints.local_qstash.delivery import Deliveries
from entrypoints.local_qstash.message import QueuedMessage
from entrypoints.local_qstash.publish_headers import read_message
from entrypoints.local_qstash.refusals import BadMessage, MessageTooLarge, Refused, TooMany
from entrypoints.local_qstash.workflow_records import WAITER_KIND, RunChanges, RunRecords
from entrypoints.local_qstash.workflow_runs import WorkflowRuns

LONGEST_WAIT = "7d"
"""That of a wait which names none, as Upstash documents it."""

Waiter = dict[str, Any]


class WorkflowEvents:
    def __init__(self, kept: RunRecords, deliveries: Deliveries, runs: WorkflowRuns) -> None:
        self._kept = kept
        self._deliveries = deliveries
        self._runs = runs

    async def wait(self, event_id: str, run_id: str, given: Any) -> None:
        """Let a run wait for an event. `given`: the SDK's request. Raises Refused."""
        fields, now = _Wait(given), time.time()
        async with self._runs.changing:
            changes = self._kept.changes(run_id)
            if (event := self._kept.events(run_id).get(event_id)) is not None:
                changes.drop_event(event_id)
                message = fields.message(fields.step_with(event["out"], timeout=False), now)
                await self._append(changes, message)
                return
            message = fields.message(fields.step_with(None, timeout=True), now, fields.timeout)
            waiting = self._waiting()
            if len(waiting) >= RECORDS:
                raise TooMany(WAITER_KIND)
            for over in set(self._kept.waiters()) - set(waiting):
                changes.drop(WAITER_KIND, over)
            waiter = {
                "event": event_id,
                "run": run_id,
                "request": given,
                "deadline": message.not_before // 1000,
            }
            changes.put(WAITER_KIND, message.id, waiter)
            await self._append(changes, message, later=True)

    def waiters(self, event_id: str) -> list[Waiter]:
        """Return the runs that wait for an event, as QStash shows them."""
        return [_shown(each) for each in self._waiting().values() if each["event"] == event_id]

    async def notify(
        self, event_id: str, data: bytes, run_id: str | None = None
    ) -> list[dict[str, Any]]:
        """Let the runs go on that wait for an event, or only this one, which otherwise has the
        event once it waits for it. Returns what became of each. Raises Refused."""
        out = base64.b64encode(data).decode()
        notified = []
        async with self._runs.changing:
            for message_id, waiter in self._waiting().items():
                if waiter["event"] != event_id or run_id not in (None, waiter["run"]):
                    continue
                told = {"messageId": "", "error": "", "workflowRunId": waiter["run"]}
                try:
                    told["messageId"] = await self._go_on(message_id, waiter, out)
                except Refused as error:
                    told["error"] = str(error)
                notified.append({"waiter": _shown(waiter), **told})
            if run_id is not None and not notified and self._kept.get(run_id) is not None:
                changes = self._kept.changes(run_id)
                changes.add_event(event_id, out)
                if not self._kept.make_room(changes):
                    raise MessageTooLarge()
                await self._deliveries.publish_all([], changes)
        return notified

    async def _go_on(self, message_id: str, waiter: Waiter, out: str) -> str:
        """Let a run go on with an event. `message_id`: the message that would end its wait. Returns
        the id of the one that does. Raises Refused."""
        changes = self._kept.changes(waiter["run"])
        changes.drop(WAITER_KIND, message_id)
        changes.drop_step(message_id)
        changes.cancelled = [message_id]
        fields = _Wait(waiter["request"])
        message = fields.message(fields.step_with(out, timeout=False), time.time())
        await self._append(changes, message)
        return message.id

    async def _append(
        self, changes: RunChanges, message: QueuedMessage, *, later: bool = False
    ) -> None:
        run = self._kept.get(changes.run_id)
        if run is None:
            raise BadMessage("the workflow run is not known, or has ended")
        result = await self._runs.append(changes, run, message, later=later)
        if isinstance(result, Refused):
            raise result

    def _waiting(self) -> dict[str, Waiter]:
        """By the id of the message that ends the wait."""
        now, kept = time.time(), self._kept.waiters()
        return {each: waiter for each, waiter in kept.items() if waiter["deadline"] > now}


class _Wait:
    """What the SDK sends to wait for an event."""

    def __init__(self, given: Any) -> None:
        """Raises BadMessage."""
        if not (isinstance(given, Mapping) and isinstance(given.get("step"), Mapping)):
            raise BadMessage("a wait is an object with a step")
        if len(msgspec.json.encode(given)) > WAIT_BYTES:
            raise MessageTooLarge()
        headers = given.get("timeoutHeaders") or {}
        if not isinstance(headers, Mapping):
            raise BadMessage("timeoutHeaders must be an object")
        self.url = str(given.get("url"))
        self._step = given["step"]
        self._headers = {
            str(name): ",".join(map(str, each)) if isinstance(each, list) else str(each)
            for name, each in headers.items()
        }
        timeout = given.get("timeout") or LONGEST_WAIT
        self.timeout = f"{timeout}s" if isinstance(timeout, int) else str(timeout)

    def step_with(self, out: str | None, *, timeout: bool) -> bytes:
        """Return the step once the wait is over. `out`: the event, in base64."""
        step = {**self._step, "waitTimeout": timeout, **({} if out is None else {"out": out})}
        return msgspec.json.encode(step)

    def message(self, body: bytes, now: float, delay: str = "0s") -> QueuedMessage:
        """Return the message with which the run goes on. Raises BadMessage."""
        headers = {**self._headers, "Upstash-Delay": delay}
        return read_message(self.url, headers, body, now=now)


def _shown(waiter: Waiter) -> Waiter:
    given = waiter["request"]
    shown = {"url": given.get("url"), "deadline": waiter["deadline"], "headers": {}}
    names = ("timeoutUrl", "timeoutBody", "timeoutHeaders")
    return {**shown, **{name: given[name] for name in names if given.get(name) is not None}}
