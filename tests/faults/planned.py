"""The model's server: the prompt says how it answers, call by call, and what a good answer adds up
to."""

import json
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass
from typing import Any

from domain.answer import Answer, ToolCall
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

_KINDS = ("reasoning", "text", 0, 1, 0)
GOOD, CUT, BROKEN, BUSY, SILENT, REFUSED = "good", "cut", "500", "429", "silent", "401"


@dataclass(frozen=True)
class Plan:
    """A prompt, which says how the model answers: call by call, then well."""

    name: str
    pieces: int
    pace: float
    calls: tuple[str, ...]
    mixed: bool = False
    """Whether it reasons and calls tools too."""

    def answer(self, call: int) -> Answer:
        """What a good answer to that call (from 1) adds up to. No two calls say the same."""
        said: defaultdict[str | int, str] = defaultdict(str)
        for number in range(self.pieces):
            said[self._kind(number)] += self._word(call, number)
        calls = (
            ToolCall(index, f"call_{call}_{index}", "look_up", said[index])
            for index in (0, 1)
            if index in said
        )
        return Answer(said["text"], "", said["reasoning"], tuple(calls))

    def script(self, call: int) -> Script:
        outcome = self.calls[call - 1] if call <= len(self.calls) else GOOD
        if outcome == BROKEN:
            return refusal(500)
        if outcome == BUSY:
            return refusal(429, "rate_limit_exceeded", **{"retry-after": "0.3"})
        if outcome == REFUSED:
            return refusal(401, "invalid_api_key")
        steps: list[bytes | float] = []
        for number in range(self.pieces if outcome == GOOD else self.pieces // 2):
            steps += [self._piece(call, number), self.pace]
        if outcome == CUT:
            return Script(steps, cut=True)
        if outcome == SILENT:
            return Script([*steps, 3600.0])
        return Script([*steps, finish(), USAGE, DONE])

    def prompt(self) -> str:
        return json.dumps(asdict(self))

    def _word(self, call: int, number: int) -> str:
        return f"{self.name}/{call}/{number} "

    def _kind(self, number: int) -> str | int:
        """What a piece is of: the text, the reasoning, or a call of a tool, by its index."""
        return _KINDS[number % len(_KINDS)] if self.mixed else "text"

    def _piece(self, call: int, number: int) -> bytes:
        word, kind = self._word(call, number), self._kind(number)
        if kind == "text":
            return piece(word)
        if kind == "reasoning":
            return event({"choices": [{"delta": {"reasoning_content": word}}]})
        delta: dict[str, Any] = {"index": kind, "function": {"arguments": word}}
        if number < len(_KINDS):
            delta |= {"id": f"call_{call}_{kind}", "type": "function"}
            delta["function"]["name"] = "look_up"
        return event({"choices": [{"delta": {"tool_calls": [delta]}}]})


class PlannedModel(Upstream):
    """Answers by the prompt's plan, and counts the calls for each."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[str] = Counter()

    def script_for(self, received: Received) -> Script:
        plan = json.loads(received.body["messages"][-1]["content"])
        self.calls[plan["name"]] += 1
        whole = Plan(**{**plan, "calls": tuple(plan["calls"])})
        return whole.script(self.calls[plan["name"]])
