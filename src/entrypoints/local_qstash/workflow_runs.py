"""Runs of Upstash Workflow: QStash keeps the steps of a run, and delivers all of them with each.

The SDK publishes a step to the workflow's own URL, with the run's id in a header. Its settings
(retries, flow control, the failure callback, headers to forward) come only with the first message
of the run. A delivery without steps makes the SDK ask for them. The source of this protocol is the
SDK `@upstash/workflow`, version 1.3.

A step and its message are kept in one step of the store. One without the other would be lost: a run
goes on only by a message, and a message only if its run is known.
"""

import asyncio
import base64
import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from entrypoints.local_qstash.bounds import LISTED_BYTES
from entrypoints.local_qstash.delivery import Deliveries
from entrypoints.local_qstash.message import QueuedMessage
from entrypoints.local_qstash.names import LONGEST_KEY
from entrypoints.local_qstash.refusals import BadMessage, MessageTooLarge, Refused
from entrypoints.local_qstash.tables import head_of, message_of
from entrypoints.local_qstash.workflow_headers import CREATED_AT, INIT, run_id_of, run_id_of_call
from entrypoints.local_qstash.workflow_records import Run, RunChanges, RunRecords, Step

Result = tuple[str, bool] | Refused


class WorkflowRuns:
    def __init__(self, kept: RunRecords, deliveries: Deliveries, message_limit: int) -> None:
        """`message_limit`: bytes of a message's body."""
        self._kept = kept
        self._deliveries = deliveries
        self._message_limit = message_limit
        self.changing = asyncio.Lock()
        """Held while a run is read and changed."""

    async def publish_all(self, messages: Sequence[QueuedMessage]) -> list[Result]:
        """Publish messages, of runs or not. As `Deliveries.publish_all`."""
        if not any(run_id_of(each) or run_id_of_call(each) for each in messages):
            return await self._deliveries.publish_all(messages)
        async with self.changing:
            return [await self._publish(each) for each in messages]

    def all(self) -> Mapping[str, Run]:
        return self._kept.all()

    def steps(self, run_id: str) -> list[dict[str, str]] | None:
        """Return the steps of a run that has not ended as the SDK reads them, or None."""
        return None if self._kept.get(run_id) is None else self._steps_by_now(run_id)

    def with_steps(self, message: QueuedMessage) -> QueuedMessage:
        """Return the message of a dead letter with the steps that the SDK would ask for if it is
        delivered without: by the id that the message gets next it would not find them."""
        run_id = run_id_of(message)
        if run_id is None or message.body:
            return message
        steps = self._steps_by_now(run_id)
        ends = [number for number, each in enumerate(steps, 1) if each["messageId"] == message.id]
        return replace(message, body=msgspec.json.encode(steps[: ends[0]])) if ends else message

    async def end(self, run_id: str, *, cancel: bool = False) -> bool:
        """Forget a run, and cancel what it has published. Returns whether it was there."""
        async with self.changing:
            if self._kept.get(run_id) is None:
                return False
            changes = self._kept.changes(run_id)
            changes.forget(run_id)
            if cancel:
                published = self._kept.steps(run_id)
                changes.cancelled = [each for each in published if self._deliveries.has(each)]
            await self._deliveries.publish_all([], changes)
            return True

    async def append(
        self, changes: RunChanges, run: Run, message: QueuedMessage, *, later: bool = False
    ) -> Result:
        """Publish a message as the next step of a run, whose `changing` is held, in one step with
        its changes. `later`: it is a step only once it is due."""
        settings = message_of("", run["settings"], b"", 0, 0)
        created = {CREATED_AT: [str(run["created_at"])]}
        message.headers = {**settings.headers, **message.headers, **created}
        message.retries, message.retry_delay = settings.retries, settings.retry_delay
        message.flow, message.labels = settings.flow, settings.labels
        message.failure_callback = settings.failure_callback
        message.failure_callback_headers = settings.failure_callback_headers
        at = message.not_before if later else int(time.time() * 1000)
        step = {"body": base64.b64encode(message.body).decode(), "at": at}
        changes.add_step(message.id, step)
        if not self._kept.make_room(changes):
            return MessageTooLarge()
        # Without spaces, for the SDK's `serve` for Express: it has read the body, and writes it
        # again with JSON.stringify to compare it with the signature.
        if later or not self._is_listed(changes):
            message.body = b""
        else:
            before = self._steps_by_now(changes.run_id, changes.cancelled)
            message.body = msgspec.json.encode([*before, _shown(message.id, step)])
        (result,) = await self._deliveries.publish_all([message], changes)
        return result

    def _is_listed(self, changes: RunChanges) -> bool:
        """Whether the delivery of a step has it and those before it."""
        before = self._kept.size(changes.run_id)
        return before + changes.grows <= (LISTED_BYTES if before else self._message_limit)

    async def _publish(self, message: QueuedMessage) -> Result:
        run_id = run_id_of(message)
        if run_id is None:
            self._take_settings(message)
            return (await self._deliveries.publish_all([message]))[0]
        run, changes = self._kept.get(run_id), self._kept.changes(run_id)
        if message.headers.get(INIT) != ["true"]:
            if run is None:
                return BadMessage("the workflow run is not known, or has ended")
            return await self.append(changes, run, message)
        if run is not None:
            return next(iter(self._kept.steps(run_id))), True
        if len(run_id) > LONGEST_KEY:
            return BadMessage(f"the id of a workflow run has at most {LONGEST_KEY} characters")
        if message.deduplication is None:
            message.deduplication = f"run:{hashlib.sha256(run_id.encode()).hexdigest()}"
        new = {"created_at": message.created_at, "url": message.url, "settings": head_of(message)}
        changes.begin(new)
        return await self.append(changes, new, message)

    def _take_settings(self, message: QueuedMessage) -> None:
        """Let the callback of a call have the settings of the run that is to have its result."""
        run = self._kept.get(run_id_of_call(message) or "")
        if run is None:
            return
        settings = message_of("", run["settings"], b"", 0, 0)
        message.callback_headers.setdefault("Upstash-Retries", str(settings.retries))
        if settings.retry_delay is not None:
            message.callback_headers.setdefault("Upstash-Retry-Delay", str(settings.retry_delay))

    def _steps_by_now(self, run_id: str, but: Sequence[str] = ()) -> list[dict[str, str]]:
        now = time.time() * 1000
        steps = sorted(self._kept.steps(run_id).items(), key=lambda each: each[1]["at"])
        return [_shown(*each) for each in steps if each[1]["at"] <= now and each[0] not in but]


def _shown(message_id: str, step: Step) -> dict[str, Any]:
    return {"messageId": message_id, "body": step["body"], "callType": "step"}
