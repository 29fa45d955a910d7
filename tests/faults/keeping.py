"""A model's server that keeps its answers and makes them with or without listeners: OpenAI's
Responses API. By plan it breaks off a stream, fails, hangs, or refuses to begin. Faults have it
forget answers, and not stream them any more.

It counts what it was asked for: no token may be asked for twice.
"""

import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
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
)
from tests.native_events import retractions

_PLACES: dict[str | int, int] = {"reasoning": 0, "text": 1, 0: 2, 1: 3}
"""The indexes of the items of an answer, by what they are."""
_FIRST_CALL = 2
_SILENCE = 20.0
"""Seconds after which the server itself gives up an answer that it makes no more of. A service that
can only look at the answer, since it is not streamed any more, waits for that."""


@dataclass
class Made:
    """An answer that was begun."""

    response: KeptResponse
    task_id: str
    forgotten: bool = False

    @property
    def lost(self) -> bool:
        """Whether the server has no more of it to give."""
        ended = self.response.ended
        return self.forgotten or (ended is not None and ended["response"]["status"] == "failed")


class KeepingModel(ResponsesUpstream, PlannedModel):
    settings: Mapping[str, str] = {"LONGTASK_OPENAI_API": "responses"}

    def __init__(self) -> None:
        PlannedModel.__init__(self)
        self.clear()
        self.made: defaultdict[str, list[Made]] = defaultdict(list)
        """The answers to each plan, by its name. A task that has failed may be started again."""

    def _create(self, received: Received) -> Script:
        plan, key = plan_of(_prompt_of(received.body["input"])), received.headers["idempotency-key"]
        if key not in self.keys:
            self.calls[plan.name] += 1
        outcome = plan.outcome(self.calls[plan.name])
        if key in self.keys:
            return self._begun(received, plan, outcome)
        if outcome in REFUSALS and outcome != BROKEN:
            return REFUSALS[outcome]
        begun = self._begun(received, plan, outcome)
        if outcome == BROKEN:  # it has begun all the same
            return REFUSALS[BROKEN]
        if outcome == CUT and isinstance(begun, Followed):
            begun.breaks_after = plan.pieces // 2
        return begun

    def _begun(self, received: Received, plan: Plan, outcome: str) -> Script:
        known, made = set(self.responses), self.made[plan.name]
        self.usual = _steps(plan, len(made) + 1, outcome)
        script = super()._create(received)
        for new in self.responses.keys() - known:
            task_id = received.headers["idempotency-key"].split("-")[1]
            made.append(Made(self.responses[new], task_id))
        return script

    def good_answers(self, plan: Plan) -> list[Answer]:
        return [plan.answer(n + 1, _FIRST_CALL) for n in range(len(self.made[plan.name]))]

    def log_faults(self, plan: Plan, task_id: str, events: Sequence[Event]) -> list[str]:
        """An answer is asked for once, and not taken back, unless it failed or was forgotten."""
        made = [each for each in self.made[plan.name] if each.task_id == task_id]
        lost, found = sum(each.lost for each in made), []
        if len(made) > 1 + lost:
            found.append(f"asked for {len(made)} answers, of which {lost} were lost")
        if (taken := retractions(events)) > lost:
            found.append(f"its text was taken back {taken} times, and {lost} were lost")
        return found

    def leftovers(self, plan: Plan, task_id: str, events: Sequence[Event]) -> list[str]:
        """Answers that are still made. The service may not know of one of which it has no piece:
        it may have died before it noted how the server calls it."""
        running = [
            each.response.id
            for each in self.made[plan.name]
            if each.task_id == task_id and each.response.ended is None and not each.forgotten
        ]
        return [f"the server still makes {running}"] if running and _has_pieces(events) else []

    def forget_some(self, rng: random.Random) -> bool:
        """Lose about half of the answers that are being made; return whether there are any."""
        made = [each for all_of_one in list(self.made.values()) for each in all_of_one]
        running = [each for each in made if each.response.ended is None and not each.forgotten]
        for each in running:
            if rng.random() < 0.5:
                each.forgotten = True
                self.responses.pop(each.response.id, None)
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
        yield _SILENCE
    if not whole:
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
