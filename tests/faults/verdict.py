"""Whether the promises held: for every accepted task, every event of its log, and every follower
(design, 1.2 and 1.5)."""

import time
from typing import Any

from domain.answer import Answer, AnswerBuilder
from domain.errors import IllegalLog
from domain.events import StatusChanged, TaskStatus, add_piece, fold
from domain.failure import MAX_INTERRUPTIONS
from domain.tokens import PARTS, estimate_tokens, tokens_in
from tests.faults.clients import Follower, User
from tests.faults.keeping import KeepingModel
from tests.faults.planned import REFUSED
from tests.faults.response_clients import ResponseFollower
from tests.faults.world import LEASE, RETRIES, World
from tests.native_events import answer_of, event_of
from tests.running import Client, Seen

Logged = tuple[str, dict[str, Any]]
"""An event's id and data."""
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


def violations(
    world: World,
    user: User,
    record: dict[str, Any] | None,
    late: Seen,
    response: list[Logged] | None,
) -> list[str]:
    """What is wrong with one task. `record`, `late` and `response` (the events of the OpenAI face)
    were read after all had ended; no record means that the service does not know the task."""
    task = f"{user.task_id} ({user.plan.name})"
    found = [f"{task}: {fault}" for fault in user.faults]
    told: dict[str, dict[str, Any]] = {}
    everything = [
        event
        for follower in user.followers
        if not isinstance(follower, ResponseFollower)
        for event in follower.events
    ]
    for event_id, data in [*everything, *((event.id, event.data) for event in late.logged)]:
        if told.setdefault(event_id, data) != data:
            found.append(f"{task}: {event_id} is {told[event_id]} to one and {data} to another")
    for number, follower in enumerate(user.followers):
        found += [f"{task}: follower {number}: {fault}" for fault in follower.faults]
    if record is None and user.task_id in world.deleted:
        for number, follower in enumerate(user.followers):
            for fault in _reader_faults(world, follower, None):
                found.append(f"{task}: follower {number}: {fault}")
        return found
    if user.deleted and not world.lost_data:
        found.append(f"{task}: deleted, and there again")
    if record is None:
        if world.lost_data and (world.qstash_forgot or user.task_id in world.given_up):
            return found  # neither of its two homes has it any more, and its readers cannot know
        if user.task_id not in world.ended_before_loss:
            found.append(f"{task}: lost")
        for number, follower in enumerate(user.followers):
            for fault in _reader_faults(world, follower, None):
                found.append(f"{task}: follower {number}: {fault}")
        return found
    if record["status"] not in TERMINAL:
        return [*found, f"{task}: never ended: {record['status']} of attempt {record['attempt']}"]
    log = [(event.id, event.data) for event in late.logged]
    numbers = [int(event_id.rpartition("-")[2]) for event_id, _ in log]
    if numbers != list(range(1, len(numbers) + 1)):
        found.append(f"{task}: the log reads {numbers}")
        return found
    found += [f"{task}: {fault}" for fault in _log_faults(world, user, record, late)]
    for number, follower in enumerate(user.followers):
        of_face: list[Logged] | None = log
        if isinstance(follower, ResponseFollower):
            # A number stands for what came before it in 254 of 255 cases only.
            of_face = None if world.lost_data else response
        for fault in _reader_faults(world, follower, of_face):
            found.append(f"{task}: follower {number}: {fault}")
    return found


def _log_faults(world: World, user: User, record: dict[str, Any], late: Seen) -> list[str]:
    events = [event_of(event.data) for event in late.logged]
    try:
        folded = fold(events)
    except IllegalLog as error:
        return [f"illegal log: {error}"]
    faults = [] if world.lost_data else world.model.log_faults(user.plan, user.task_id, events)
    if not folded.closed:
        faults.append("the log has no end")
    answer = answer_of(record, record["text"])
    if folded.status.value != record["status"] or folded.answer != answer:
        faults.append("record and log disagree")
    if folded.attempt == 1 or not isinstance(world.model, KeepingModel):
        # Else the server went on alone, and the next attempt reads all of that at once.
        faults += _excess(user, folded.answer)
    completed = folded.status is TaskStatus.COMPLETED
    if completed and folded.answer not in world.model.good_answers(user.plan):
        faults.append(f"an answer that no call gave: {str(folded.answer)[:500]}")
    if folded.status is TaskStatus.CANCELLED and not user.tried_to_cancel:
        faults.append("cancelled by nobody")
    if user.cancelled and folded.status is not TaskStatus.CANCELLED and not world.lost_data:
        faults.append(f"its cancellation was accepted, but it is {folded.status}")
    if folded.status is TaskStatus.FAILED:
        code = late.logged[-1].data["code"]
        if code == "budget_exceeded":
            faults += [] if world.lost_end else _cut_faults(user, late)
        elif code != "deadline_exceeded":
            faults += _failure_faults(world, user, code, folded.attempt)
        elif user.deadline is None or record["finishedAt"] < record["deadline"]:
            faults.append(f"{code} before its deadline")
    return faults


def _cut_faults(user: User, late: Seen) -> list[str]:
    """A task is cut once its attempts have used its budget, by the log that tells of all."""
    if user.budget is None:
        return ["cut by a budget that it has not"]
    used = used_in(user.plan.prompt(), late)
    return [] if used > user.budget else [f"cut after {used} tokens of {user.budget}"]


def used_in(prompt: str, late: Seen) -> int:
    """Return about how many tokens the attempts of a task have used, by its log."""
    asked, used, said = PARTS * estimate_tokens(prompt), 0, 0
    for event in (event_of(each.data) for each in late.logged):
        if isinstance(event, StatusChanged) and event.status is TaskStatus.RUNNING:
            said = said if event.resumed else 0
            used += asked + said  # what it goes on with may be sent again
            continue
        piece = AnswerBuilder()
        add_piece(piece, event)
        said += piece.weight()
        used += piece.weight()
    return tokens_in(used)


def _excess(user: User, answer: Answer) -> list[str]:
    """What the last attempt may have said beyond a budget: that of two seconds, and of the time for
    which its process may have been frozen."""
    if user.budget is None:
        return []
    word = estimate_tokens(user.plan.word(1, user.plan.pieces))
    beyond = word * (2.0 + 3 * LEASE + 1.0) / user.plan.pace
    most = round(user.budget + beyond)
    return [f"said {answer.tokens} tokens, {most} at most"] if answer.tokens > most else []


def _failure_faults(world: World, user: User, code: str, attempts: int) -> list[str]:
    """A task may fail for a reason only."""
    if code == "invalid_api_key":
        return [] if REFUSED in user.plan.calls else ["refused without a refusal"]
    if code == "input_lost":
        lost = world.lost_data and user.system is not None
        return [] if lost else ["the input is lost, but no store lost it"]
    if code == "forgotten":
        excused = user.task_id in world.ended_before_loss | world.given_up
        # A deletion withdraws the message; Redis may lose it and have the task again.
        excused = excused or (world.lost_data and user.task_id in world.deleted)
        return [] if excused or world.qstash_forgot else ["forgotten, but QStash still had it"]
    if code == "restarted_too_often":
        return [] if attempts > MAX_INTERRUPTIONS else [f"{code} after {attempts} attempts only"]
    if code == "deliveries_exhausted" or code in _PASSING:
        return [] if attempts > RETRIES else [f"{code} after {attempts} attempts only"]
    return [f"failed with {code}"]


def _reader_faults(world: World, follower: Follower, log: list[Logged] | None) -> list[str]:
    """Everything once and in order. Where Redis lost data, a reader starts over: what it saw before
    must be in order too. Without a `log`, as of a task that was deleted, only the order is known.
    """
    runs: list[list[Logged]] = []
    faults = []
    for event_id, data in follower.events:
        number = int(event_id.rpartition("-")[2])
        if number == 1:
            runs.append([])
        if not runs or number != len(runs[-1]) + 1:
            return [f"saw {[each for each, _ in follower.events]}"]
        runs[-1].append((event_id, data))
    if len(runs) > 1 and not world.lost_data:
        faults.append(f"had to start over {len(runs) - 1} times")
    if log is None:
        return faults if follower.done else [*faults, "still waits for a task that is gone"]
    for run in runs:
        # Whatever was lost: an id stands for all that came before it.
        pairs = enumerate(zip(run, log, strict=False), 1)
        common = max(
            (number for number, (mine, theirs) in pairs if mine[0] == theirs[0]), default=0
        )
        if run[:common] != log[:common]:
            faults.append(f"differs from the log within its first {common} events")
    if not follower.done:
        faults.append(f"still waits after {len(follower.events)} of {len(log)} events")
    elif not world.lost_data and runs[-1] != log:
        faults.append(f"saw {len(runs[-1])} events that differ from the log's {len(log)}")
    return faults


def read(client: Client, task_id: str, orphan_timeout: float) -> tuple[dict[str, Any] | None, Seen]:
    """The record and the log, once the task has ended or orphan_timeout has."""
    until = time.monotonic() + orphan_timeout
    while True:
        answer = client.http.get(f"/api/tasks/{task_id}")
        if answer.status_code == 404:
            return None, Seen()
        if answer.json()["status"] in TERMINAL:
            return answer.json(), client.events(task_id)
        if time.monotonic() > until:
            return answer.json(), Seen()
        time.sleep(0.2)


def leftovers(
    client: Client,
    world: World,
    user: User,
    record: dict[str, Any] | None,
    late: Seen,
    until: float,
) -> list[str]:
    """What the model's server still does for a task that has ended. Each read of the task tells the
    server of the end, if nothing else has."""
    if record is None or not late.logged or world.lost_data:
        return []
    events = [event_of(event.data) for event in late.logged]
    while found := world.model.leftovers(user.plan, user.task_id, events):
        if time.monotonic() > until:
            return found
        client.http.get(f"/api/tasks/{user.task_id}")
        time.sleep(0.2)
    return []
