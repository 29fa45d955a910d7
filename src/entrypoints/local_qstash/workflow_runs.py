"""Runs of Upstash Workflow: QStash keeps the steps of a run, and delivers all of them with each.

The SDK publishes a step to the workflow's own URL, with the run's id in a header. Its settings
(retries, flow control, the failure callback, headers to forward) come only with the first message
of the run. The source of this protocol is the SDK `@upstash/workflow`, version 1.3.
"""

import asyncio
import base64
import hashlib
import time
from collections.abc import Sequence
from typing import Any

import msgspec

from entrypoints.local_qstash.bounds import RUN_BYTES, RUNS, STEP_BYTES
from entrypoints.local_qstash.delivery import Deliveries
from entrypoints.local_qstash.filters import Search
from entrypoints.local_qstash.message import QueuedMessage
from entrypoints.local_qstash.records import Records
from entrypoints.local_qstash.refusals import BadMessage, MessageTooLarge, Refused
from entrypoints.local_qstash.tables import head_of, message_of
from entrypoints.local_qstash.workflow_headers import CREATED_AT, INIT, run_id_of, run_id_of_call

KIND = "workflow runs"
Run = dict[str, Any]
"""`created_at`; `url`; `settings`, the head of its first message; `steps`, a list of `Step`."""
Step = dict[str, Any]
"""`messageId`, `body` (base64) and `callType` as the SDK reads them; `at`: when it is one."""
Result = tuple[str, bool] | Refused


class WorkflowRuns:
    def __init__(self, records: Records, deliveries: Deliveries, message_limit: int) -> None:
        """A step whose list has more bytes than `message_limit` is delivered without it: the SDK
        then asks for the steps."""
        self._records = records
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

    def get(self, run_id: str) -> Run | None:
        return self._records.of(KIND).get(run_id)

    def steps(self, run_id: str) -> list[Step] | None:
        """Return the steps of a run that has not ended, or None."""
        run = self.get(run_id)
        return None if run is None else _steps_by_now(run)

    async def end(self, run_id: str, *, cancel: bool = False) -> bool:
        """Forget a run, and cancel what it has published. Returns whether it was there."""
        async with self.changing:
            run = self.get(run_id)
            if run is None:
                return False
            if cancel:
                published = (each["messageId"] for each in run["steps"])
                await self._deliveries.cancel(Search.of(*published))
            await self._records.drop(KIND, run_id)
            return True

    def all(self) -> dict[str, Run]:
        return dict(self._records.of(KIND))

    async def append(
        self, run_id: str, run: Run, message: QueuedMessage, *, later: bool = False
    ) -> Result:
        """Publish a message as the next step of a run, whose `changing` is held. `later`: it is a
        step only once it is due, and its delivery makes the SDK ask for the steps."""
        settings = message_of("", run["settings"], b"", 0, 0)
        created = {CREATED_AT: [str(run["created_at"])]}
        message.headers = {**settings.headers, **message.headers, **created}
        message.retries, message.retry_delay = settings.retries, settings.retry_delay
        message.flow, message.labels = settings.flow, settings.labels
        message.failure_callback = settings.failure_callback
        message.failure_callback_headers = settings.failure_callback_headers
        step = {
            "messageId": message.id,
            "body": base64.b64encode(message.body).decode(),
            "callType": "step",
            "at": message.not_before if later else int(time.time() * 1000),
        }
        following = {**run, "steps": [*run["steps"], step]}
        if not self.fits(following):
            return MessageTooLarge()
        # Without spaces, for the SDK's `serve` for Express: it has read the body, and writes it
        # again with JSON.stringify to compare it with the signature.
        delivered = msgspec.json.encode([*_steps_by_now(run), _shown(step)])
        message.body = b"" if later or len(delivered) > self._message_limit else delivered
        (result,) = await self._deliveries.publish_all([message])
        if result == (message.id, False):
            # Kept afterwards: a run that lacks a step does that again, but one that has a step of
            # which no message was published would wait for ever.
            await self.put(run_id, following)
        return result

    @staticmethod
    def fits(run: Run) -> bool:
        """Whether there could be room for a run."""
        return _size(run) <= RUN_BYTES

    async def put(self, run_id: str, run: Run) -> None:
        """Keep a run, and make room for it: the oldest ones are forgotten."""
        runs = self._records.of(KIND)
        sizes = {each: _size(value) for each, value in runs.items()} | {run_id: _size(run)}
        for oldest in list(runs):
            if len(sizes) <= RUNS and sum(sizes.values()) <= RUN_BYTES:
                break
            if oldest != run_id:
                await self._records.drop(KIND, oldest)
                del sizes[oldest]
        await self._records.put(KIND, run_id, run)

    async def _publish(self, message: QueuedMessage) -> Result:
        run_id = run_id_of(message)
        if run_id is None:
            self._take_settings(message)
            return (await self._deliveries.publish_all([message]))[0]
        run = self.get(run_id)
        if message.headers.get(INIT) != ["true"]:
            if run is None:
                return BadMessage("the workflow run is not known, or has ended")
            return await self.append(run_id, run, message)
        if run is not None:
            return str(run["steps"][0]["messageId"]), True
        if message.deduplication is None:
            message.deduplication = f"run:{hashlib.sha256(run_id.encode()).hexdigest()}"
        new = {
            "created_at": message.created_at,
            "url": message.url,
            "settings": head_of(message),
            "steps": [],
        }
        return await self.append(run_id, new, message)

    def _take_settings(self, message: QueuedMessage) -> None:
        """Let the callback of a call have the settings of the run that is to have its result."""
        run = self.get(run_id_of_call(message) or "")
        if run is None:
            return
        settings = message_of("", run["settings"], b"", 0, 0)
        message.callback_headers.setdefault("Upstash-Retries", str(settings.retries))
        if settings.retry_delay is not None:
            message.callback_headers.setdefault("Upstash-Retry-Delay", str(settings.retry_delay))


def _steps_by_now(run: Run) -> list[Step]:
    now = time.time() * 1000
    steps = sorted(run["steps"], key=lambda step: step["at"])
    return [_shown(each) for each in steps if each["at"] <= now]


def _shown(step: Step) -> Step:
    return {name: step[name] for name in ("messageId", "body", "callType")}


def _size(run: Run) -> int:
    """Return the bytes that a run needs."""
    steps = sum(len(each["body"]) + STEP_BYTES for each in run["steps"])
    notified = sum(len(name) + len(out) for name, out in run.get("notified", {}).items())
    return len(run["settings"]) + steps + notified
