"""Whether the promises held: for every accepted task, every event of its log, and every follower
(design, 1.2 and 1.5)."""

from typing import Any

from domain.events import (
    ContentAdded,
    Event,
    IllegalLog,
    StatusChanged,
    TaskEnded,
    TaskErrored,
    TaskStatus,
    fold,
)
from tests.faults.clients import Follower, User
from tests.faults.world import REFUSED, RETRIES, World
from tests.running import Client, Seen

TERMINAL = {"completed", "failed", "cancelled"}
_PASSING = {
    "incomplete",
    "model_error",
    "rate_limited",
    "model_unreachable",
    "model_timeout",
    "connection_lost",
    "invalid_response",
}


def violations(world: World, user: User, record: dict[str, Any] | None, late: Seen) -> list[str]:
    """What is wrong with one task. `record` and `late` were read after all had ended; no record
    means that the service does not know the task."""
    task = f"{user.task_id} ({user.plan.name})"
    found = [f"{task}: {fault}" for fault in user.faults]
    for number, follower in enumerate(user.followers):
        found += [f"{task}: follower {number}: {fault}" for fault in follower.faults]
    if record is None:
        if user.task_id not in world.ended_before_loss:
            found.append(f"{task}: lost")
        for number, follower in enumerate(user.followers):
            for fault in _reader_faults(world, follower, []):
                found.append(f"{task}: follower {number}: {fault}")
        return found
    log = [(event.id, event.data) for event in late.logged]
    numbers = [int(event_id.rpartition("-")[2]) for event_id, _ in log]
    epochs = {event_id.rpartition("-")[0] for event_id, _ in log}
    if numbers != list(range(1, len(numbers) + 1)) or len(epochs) != 1:
        found.append(f"{task}: the log reads {numbers} of {epochs}")
        return found
    found += [f"{task}: {fault}" for fault in _log_faults(world, user, record, late)]
    for number, follower in enumerate(user.followers):
        for fault in _reader_faults(world, follower, log):
            found.append(f"{task}: follower {number}: {fault}")
    return found


def _log_faults(world: World, user: User, record: dict[str, Any], late: Seen) -> list[str]:
    try:
        folded = fold(map(_event, (event.data for event in late.logged)))
    except IllegalLog as error:
        return [f"illegal log: {error}"]
    faults = []
    if not folded.closed:
        faults.append(f"never ended: {folded.status} of attempt {folded.attempt}")
    if folded.status.value != record["status"] or folded.text != record["text"]:
        faults.append("record and log disagree")
    if folded.status is TaskStatus.COMPLETED:
        good = [user.plan.text(call + 1) for call in range(world.model.calls[user.plan.name])]
        if folded.text not in good:
            faults.append(f"a text that no call gave: {folded.text[:300]!r}")
    if folded.status is TaskStatus.CANCELLED and not user.tried_to_cancel:
        faults.append("cancelled by nobody")
    if user.cancelled and folded.status is not TaskStatus.CANCELLED and not world.lost_data:
        faults.append(f"its cancellation was accepted, but it is {folded.status}")
    if folded.status is TaskStatus.FAILED:
        faults += _failure_faults(world, user, late.logged[-1].data["code"], folded.attempt)
    return faults


def _failure_faults(world: World, user: User, code: str, attempts: int) -> list[str]:
    """A task may fail for a reason only."""
    if code == "invalid_api_key":
        return [] if REFUSED in user.plan.calls else ["refused without a refusal"]
    if code == "forgotten":
        return [] if world.qstash_forgot else ["forgotten by a QStash that forgets nothing"]
    if code == "deliveries_exhausted" or code in _PASSING:
        return [] if attempts > RETRIES else [f"{code} after {attempts} attempts only"]
    return [f"failed with {code}"]


def _reader_faults(
    world: World, follower: Follower, log: list[tuple[str, dict[str, Any]]]
) -> list[str]:
    """Everything once and in order. Where Redis lost data, a log begins anew under another epoch:
    what came before it must be in order too."""
    runs: list[list[tuple[str, int, dict[str, Any]]]] = []
    for event in follower.events:
        if not runs or runs[-1][-1][0] != event[0]:
            runs.append([])
        runs[-1].append(event)
    faults = []
    if len(runs) > 1 and not world.lost_data:
        faults.append(f"epochs {[run[0][0] for run in runs]}")
    for run in runs:
        numbers = [number for _, number, _ in run]
        if numbers != list(range(1, len(run) + 1)):
            faults.append(f"saw {numbers}")
    if not follower.done:
        faults.append(f"still waits after {len(follower.events)} of {len(log)} events")
    elif runs and log:
        seen = [(f"{epoch}-{number}", data) for epoch, number, data in runs[-1]]
        same_log = seen[0][0].rpartition("-")[0] == log[0][0].rpartition("-")[0]
        if seen != log and (same_log or not world.lost_data):
            faults.append(f"saw {len(seen)} events that differ from the log's {len(log)}")
    return faults


def _event(data: dict[str, Any]) -> Event:
    at = data["timestamp"]
    match data["type"]:
        case "content":
            return ContentAdded(at, data["data"])
        case "status":
            status = TaskStatus(data["data"])
            return StatusChanged(at, status, data["attempt"], data.get("reason"))
        case "end":
            return TaskEnded(at, data["data"], data["finishReason"], data["model"])
        case _:
            return TaskErrored(at, data["data"], data["code"], data["retryable"])


def read(client: Client, task_id: str) -> tuple[dict[str, Any] | None, Seen]:
    """The record and the log, once the task has ended."""
    answer = client.http.get(f"/api/tasks/{task_id}")
    if answer.status_code == 404:
        return None, Seen()
    return answer.json(), client.events(task_id)
