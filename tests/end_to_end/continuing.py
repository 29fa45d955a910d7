"""Models whose answers go on: each says one text slowly, and breaks the first connection of every
task in the middle."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from domain.events import TaskStatus, fold
from tests.doubles.prefilling_upstream import PrefillingUpstream
from tests.doubles.responses_upstream import ResponsesUpstream, Step, answer_events
from tests.doubles.upstream import Gate, Upstream
from tests.native_events import event_of, retractions
from tests.running import Client

WORDS = ("One", " two", " three", " four", " five.")
WHOLE = "".join(WORDS)
PACE = 0.05
"""Seconds after each word."""
BROKEN_AFTER = 2
"""Words of an answer after which its first connection breaks."""
_EVENTS_BEFORE = 3
"""Events of a response before its first word."""


@dataclass(repr=False)
class Kept:
    """The server keeps the answer."""

    endless: bool = False
    """Whether an answer never ends."""
    model: Upstream = field(init=False)
    settings: dict[str, str] = field(
        default_factory=lambda: {
            "LONGTASK_OPENAI_API": "responses",
            "LONGTASK_OPENAI_DELETE_RESPONSES": "true",
        }
    )

    def __post_init__(self) -> None:
        self.model = self._keeps = ResponsesUpstream()
        *steps, whole, end = answer_events(*WORDS)
        paced: list[Step] = [part for step in steps for part in (step, PACE)]
        self._keeps.usual = [*paced, Gate()] if self.endless else [*paced, whole, end]

    @property
    def overrides(self) -> dict[str, Any]:
        """The same settings for a service in this process."""
        return {"openai_api": "responses", "delete_responses": True}

    def begin(self) -> None:
        """The next task is started."""
        self._keeps.breaks.clear()
        self._keeps.breaks.append(_EVENTS_BEFORE + BROKEN_AFTER)

    def faults(self) -> list[str]:
        """What is wrong with what it was asked for, once all tasks have ended."""
        keys, keeps = list(self._keeps.keys), self._keeps
        asked = set(keeps.keys.values())
        found = []
        if keeps.asked != len(keys) or len({each.rsplit("-", 1)[0] for each in keys}) != len(keys):
            found.append(f"{keeps.asked} answers were made for {keys}")
        if left := asked - set(keeps.deleted):
            found.append(f"not deleted: {left}")
        if self.endless and (left := asked - set(keeps.cancelled)):
            found.append(f"not cancelled: {left}")
        return found

    def __repr__(self) -> str:
        return f"an upstream that keeps answers: {self.faults()}"


@dataclass(repr=False)
class Prefill:
    """The server goes on from the beginning of a text, and keeps nothing."""

    endless: bool = False
    model: Upstream = field(init=False)
    settings: dict[str, str] = field(default_factory=lambda: {"LONGTASK_PREFILL": "vllm"})

    def __post_init__(self) -> None:
        self.model = self._continues = PrefillingUpstream()
        self._continues.whole, self._continues.pace = WHOLE, PACE

    @property
    def overrides(self) -> dict[str, Any]:
        return {"prefill": "vllm"}

    def begin(self) -> None:
        self._continues.cuts.clear()
        self._continues.cuts.append(BROKEN_AFTER)

    def faults(self) -> list[str]:
        return []


def log_faults(client: Client, records: Iterable[dict[str, Any]], status: str) -> list[str]:
    """What is wrong with the logs of ended tasks: each must have ended so, and taken nothing
    back."""
    found = []
    for record in records:
        seen = client.events(record["taskId"])
        events = [event_of(each.data) for each in seen.logged]
        folded = fold(events)
        if not folded.closed or folded.status is not TaskStatus(status) or retractions(events):
            found.append(f"{record['taskId']}: {[each.data for each in seen.logged]}")
        if not WHOLE.startswith(seen.text) or (status == "completed" and seen.text != WHOLE):
            found.append(f"{record['taskId']} says {seen.text!r}")
    return found
