"""A model's server of chat completions: the prompt says how it answers, call by call, and what a
good answer adds up to. Servers that keep answers, or go on from them, answer by the same plans."""

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from domain.answer import Answer, ToolCall
from domain.events import Event
from tests.doubles.upstream import (
    DONE,
    USAGE,
    Received,
    Script,
    Upstream,
    event,
    finish,
    piece,
    refusal,
)

KINDS = ("reasoning", "text", 0, 1, 0)
GOOD, CUT, BROKEN, BUSY, SILENT, REFUSED = "good", "cut", "500", "429", "silent", "401"
FAILED = "failed"
REFUSALS = {
    BROKEN: refusal(500),
    BUSY: refusal(429, "rate_limit_exceeded", **{"retry-after": "0.3"}),
    REFUSED: refusal(401, "invalid_api_key"),
}
OVERLOADED = {"message": "Overloaded.", "type": "server_error", "code": "server_error"}


@dataclass(frozen=True)
class Plan:
    """A prompt, which says how the model answers: call by call, then well."""

    name: str
    pieces: int
    pace: float
    calls: tuple[str, ...]
    mixed: bool = False
    """Whether it reasons and calls tools too."""

    def answer(self, call: int, first_index: int = 0) -> Answer:
        """What a good answer to that call (from 1) adds up to. No two calls say the same.
        `first_index`: of its first call of a tool."""
        said: defaultdict[str | int, str] = defaultdict(str)
        for number in range(self.pieces):
            said[self.kind(number)] += self.word(call, number)
        calls = (
            ToolCall(index + first_index, f"call_{call}_{index}", "look_up", said[index])
            for index in (0, 1)
            if index in said
        )
        return Answer(said["text"], "", said["reasoning"], tuple(calls))

    def outcome(self, call: int) -> str:
        return self.calls[call - 1] if call <= len(self.calls) else GOOD

    def script(self, call: int, answer: int | None = None, begin: int = 0) -> Script:
        """What that call gets. `answer`, `begin`: which answer it goes on with, and from which
        piece on."""
        outcome = self.outcome(call)
        if outcome in REFUSALS:
            return REFUSALS[outcome]
        steps: list[bytes | float] = []
        end = self.pieces if outcome == GOOD else (begin + self.pieces) // 2
        for number in range(begin, end):
            steps += [self._piece(answer or call, number), self.pace]
        if outcome == FAILED:
            return Script([*steps, event({"error": OVERLOADED})])
        if outcome == CUT:
            return Script(steps, cut=True)
        if outcome == SILENT:
            return Script([*steps, 3600.0])
        return Script([*steps, finish(), USAGE, DONE])

    def prompt(self) -> str:
        return json.dumps(asdict(self))

    def word(self, call: int, number: int) -> str:
        return f"{self.name}/{call}/{number} "

    def kind(self, number: int) -> str | int:
        """What a piece is of: the text, the reasoning, or a call of a tool, by its index."""
        return KINDS[number % len(KINDS)] if self.mixed else "text"

    def _piece(self, call: int, number: int) -> bytes:
        word, kind = self.word(call, number), self.kind(number)
        if kind == "text":
            return piece(word)
        if kind == "reasoning":
            return event({"choices": [{"delta": {"reasoning_content": word}}]})
        delta: dict[str, Any] = {"index": kind, "function": {"arguments": word}}
        if number < len(KINDS):
            delta |= {"id": f"call_{call}_{kind}", "type": "function"}
            delta["function"]["name"] = "look_up"
        return event({"choices": [{"delta": {"tool_calls": [delta]}}]})


def plan_of(prompt: str) -> Plan:
    plan = json.loads(prompt)
    return Plan(**{**plan, "calls": tuple(plan["calls"])})


class PlannedModel(Upstream):
    """Answers by the prompt's plan, and counts the calls for each."""

    settings: Mapping[str, str] = {}
    """Those with which it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[str] = Counter()

    def script_for(self, received: Received) -> Script:
        plan = plan_of(received.body["messages"][-1]["content"])
        self.calls[plan.name] += 1
        return plan.script(self.calls[plan.name])

    def good_answers(self, plan: Plan) -> list[Answer]:
        """What the answer of a completed task may be."""
        return [plan.answer(call + 1) for call in range(self.calls[plan.name])]

    def log_faults(self, plan: Plan, task_id: str, events: Sequence[Event]) -> list[str]:
        """What is wrong with the log of a task whose store has lost nothing."""
        return []

    def leftovers(self, plan: Plan, task_id: str, events: Sequence[Event]) -> list[str]:
        """What a server still does for a task that has ended, and of which no store has lost
        anything."""
        return []
