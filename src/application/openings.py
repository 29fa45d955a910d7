"""Openings: decides, as a task is claimed, whether its next attempt goes on with what earlier ones
said.

It does where an upstream keeps the answer, which the record tells, or where the model can go on
from a text that is not finished (prefill). For that the log must be read: only of a task that has
had an attempt, and only if the model can go on from any text of this request at all. It is read
too if the record does not say how the upstream calls the answer: unless something was said, it is
asked for with the same key.
"""

from dataclasses import dataclass
from functools import partial

from application.earlier import Earlier
from application.ports import Busy, Delivery, Ended, LanguageModel, TaskLog
from application.transcript import Transcript
from domain.answer import Answer
from domain.attempt import Attempt
from domain.continuation import Continuation, Opening
from domain.task import Task

_BEGINNING = Answer("It")
"""An answer from which a model can go on if it can from any."""


@dataclass(frozen=True, slots=True)
class _Said:
    """What the log says of the answer of an attempt."""

    attempt: int
    anything: bool
    """Whether the answer has begun."""
    goes_on: bool
    """Whether the model can go on from it."""
    added: bool
    """Whether this attempt has said any of it."""


class _LogNeeded(Exception):
    """Raised in a claim that needs to know what the log says."""

    def __init__(self, task: Task) -> None:
        super().__init__(task.id)
        self.task = task


def kept_for(model: LanguageModel, task: Task) -> Continuation | None:
    """Return the answer that the upstream of this model keeps for a task. None: it keeps none, or
    the settings no longer name the upstream that does."""
    kept = task.continuation
    if kept is None or kept.upstream != model.keeper(task.requested_model):
        return None
    return kept


async def claim_task(
    tasks: TaskLog, model: LanguageModel, delivery: Delivery, lease: float, now: int
) -> Attempt | Busy | Ended:
    """Claim the task of a delivery as `TaskLog.claim` does."""
    request = delivery.request
    may_go_on = request is None or model.goes_on(request, _BEGINNING)
    said: _Said | None = None
    while True:
        opening = partial(_opening, model, may_go_on, said)
        try:
            return await tasks.claim(delivery.task_id, lease, now, opening)
        except _LogNeeded as needed:
            said = await _said(tasks, model, delivery, needed.task)


def _opening(model: LanguageModel, may_go_on: bool, said: _Said | None, task: Task) -> Opening:
    keeper, kept = model.keeper(task.requested_model), kept_for(model, task)
    if kept is not None and kept.response_id is not None:
        return Opening(resumed=True, added=kept.advanced_by == task.attempt)
    if task.attempt == 0 or (kept is None and (keeper is not None or not may_go_on)):
        return Opening(keeper=keeper)
    if said is None or said.attempt != task.attempt:
        raise _LogNeeded(task)
    if kept is not None:
        return Opening(resumed=not said.anything, keeper=keeper)
    return Opening(resumed=said.goes_on, added=said.goes_on and said.added)


async def _said(tasks: TaskLog, model: LanguageModel, delivery: Delivery, task: Task) -> _Said:
    request = delivery.request or await tasks.request(task.id)
    earlier = Earlier(Transcript(task.id, 0))
    await earlier.read(tasks, task.id)
    answer = earlier.transcript.answer()
    goes_on = request is not None and answer.size > 0 and model.goes_on(request, answer)
    return _Said(task.attempt, earlier.covered > 0, goes_on, earlier.added)
