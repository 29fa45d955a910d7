"""A model's server that keeps its answers and makes them whether anybody listens or not: OpenAI's
Responses API. By plan it breaks off a stream, fails, hangs, or refuses to begin. Whoever breaks the
world can have it forget answers, and not stream them any more.

It counts what it was asked for: no token may be asked for twice.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from domain.answer import Answer
from domain.events import Event, PieceAdded, StatusChanged, TaskStatus
from tests.doubles.responses_upstream import (
    Followed,
    KeptResponse,
    ResponsesUpstream,
    Step,
    call_item,
    delta,
    end_event,
    item_event,
    message_item,
)
from tests.doubles.upstream import Received, Script
from tests.faults.planned import (
    BROKEN,
    CUT,
    FAILED,
    OVERLOADED,
    REFUSALS,
    SILENT,
    Plan,
    PlannedModel,
    plan_of,
    retractions,
)

_PLACES: dict[str | int, int] = {"reasoning": 0, "text": 1, 0: 2, 1: 3}
"""The indexes of the items of an answer, by what they are."""
_FIRST_CALL = 2


@dataclass
class _Made:
    """What is known of the answers to a plan."""

    responses: list[KeptResponse] = field(default_factory=list)
    failed: int = 0
    forgotten: set[str] = field(default_factory=set)
    """Their ids."""

    @property
    def lost(self) -> int:
        """How many answers had to be asked for once more."""
        return self.failed + len(self.forgotten)


class KeepingModel(ResponsesUpstream, PlannedModel):
    settings: Mapping[str, str] = {"LONGTASK_OPENAI_API": "responses"}

    def __init__(self) -> None:
        PlannedModel.__init__(self)
        self.clear()
        self.made: dict[str, _Made] = {}

    def _create(self, received: Received) -> Script:
        plan = plan_of(_prompt_of(received.body["input"]))
        if received.headers["idempotency-key"] in self.keys:
            return self._begun(received, plan, again=True)
        self.calls[plan.name] += 1
        outcome = plan.outcome(self.calls[plan.name])
        if outcome in REFUSALS and outcome != BROKEN:
            return REFUSALS[outcome]
        begun = self._begun(received, plan, again=False)
        if outcome == BROKEN:  # it has begun all the same
            return REFUSALS[BROKEN]
        if outcome == CUT and isinstance(begun, Followed):
            begun.breaks_after = plan.pieces // 2
        return begun

    def _begun(self, received: Received, plan: Plan, *, again: bool) -> Script:
        made = self.made.setdefault(plan.name, _Made())
        known = set(self.responses)
        outcome = plan.outcome(self.calls[plan.name])
        self.usual = _steps(plan, len(made.responses) + 1, outcome)
        script = super()._create(received)
        for new in self.responses.keys() - known:
            made.responses.append(self.responses[new])
            made.failed += outcome == FAILED
        return script

    def good_answers(self, plan: Plan) -> list[Answer]:
        made = self.made.get(plan.name, _Made())
        return [plan.answer(n + 1, _FIRST_CALL) for n in range(len(made.responses))]

    def log_faults(self, plan: Plan, events: Sequence[Event]) -> list[str]:
        """An answer is asked for once, and not taken back, unless it failed or was forgotten."""
        made, found = self.made.get(plan.name, _Made()), []
        if len(made.responses) > 1 + made.lost:
            found.append(f"asked for {len(made.responses)} answers, of which it lost {made.lost}")
        if (taken := retractions(events)) > made.lost:
            found.append(f"its text was taken back {taken} times, and {made.lost} answers lost")
        return found

    def leftovers(self, plan: Plan, events: Sequence[Event]) -> list[str]:
        """Answers that are still made. The service may not know of one of which it has no piece:
        it may have died before it noted how the server calls it."""
        made = self.made.get(plan.name, _Made())
        running = [
            each.id
            for each in made.responses
            if each.ended is None and each.id not in made.forgotten
        ]
        return [f"the server still makes {running}"] if running and _has_pieces(events) else []

    def forget_some(self, rng: random.Random) -> bool:
        """Lose about half of the answers that are being made; return whether there are any."""
        running = [each for each in list(self.responses.values()) if each.ended is None]
        for each in running:
            if rng.random() < 0.5:
                for made in list(self.made.values()):
                    if each in made.responses:
                        made.forgotten.add(each.id)
                self.responses.pop(each.id, None)
        return bool(running)


def _has_pieces(events: Sequence[Event]) -> bool:
    """Whether a log has a piece of the last answer that was begun."""
    said = False
    for each in events:
        if isinstance(each, StatusChanged) and each.status is TaskStatus.RUNNING:
            said = said and each.resumed
        said = said or isinstance(each, PieceAdded)
    return said


def _prompt_of(messages: Sequence[Mapping[str, Any]]) -> str:
    content = messages[-1]["content"]
    return str(content if isinstance(content, str) else content[-1]["text"])


def _steps(plan: Plan, answer: int, outcome: str) -> Iterator[Step]:
    said: dict[str | int, str] = {}
    whole = outcome not in (FAILED, SILENT)
    for number in range(plan.pieces if whole else plan.pieces // 2):
        kind, word = plan.kind(number), plan.word(answer, number)
        place = _PLACES[kind]
        if kind not in said:
            said[kind] = ""
            yield item_event(_item(kind, answer), place)
        said[kind] += word
        if isinstance(kind, int):
            yield {
                "type": "response.function_call_arguments.delta",
                "output_index": place,
                "delta": word,
            }
        else:
            yield delta(word, "output_text" if kind == "text" else "reasoning_text", place)
        yield plan.pace
    if outcome == SILENT:
        yield 3600.0
    if outcome == FAILED:
        yield end_event([], "failed", error=OVERLOADED)
        return
    items = []
    for kind, place in _PLACES.items():
        if kind in said:
            items.append(_item(kind, answer, said[kind]))
            yield item_event(items[-1], place, done=True)
    yield end_event(items)


def _item(kind: str | int, answer: int, said: str = "") -> dict[str, Any]:
    if isinstance(kind, int):
        return call_item(f"call_{answer}_{kind}", "look_up", said)
    if kind == "text":
        return message_item(*filter(None, [said]))
    content = [{"type": "reasoning_text", "text": said}] if said else []
    return {"type": "reasoning", "id": "rs_1", "summary": [], "content": content}
