"""A model's server that goes on from the beginning of an answer, if it is asked to (prefill)."""

from collections import Counter
from collections.abc import Mapping, Sequence

from domain.answer import Answer
from domain.events import Event
from tests.doubles.upstream import Received, Script
from tests.faults.planned import Plan, PlannedModel, plan_of
from tests.native_events import retractions

_FORM = {"continue_final_message": True, "add_generation_prompt": False}


class PrefillingModel(PlannedModel):
    settings: Mapping[str, str] = {"LONGTASK_PREFILL": "vllm"}

    def __init__(self) -> None:
        super().__init__()
        self.begun: Counter[str] = Counter()
        """How many answers were begun to each plan."""
        self.misled: list[str] = []
        """What it was asked to go on from that it has never said."""

    def script_for(self, received: Received) -> Script:
        messages = received.body["messages"]
        asked = next(each for each in reversed(messages) if each["role"] == "user")
        plan = plan_of(asked["content"])
        self.calls[plan.name] += 1
        call, last = self.calls[plan.name], messages[-1]
        if last["role"] != "assistant" or not _FORM.items() <= received.body.items():
            self.begun[plan.name] += 1
            return plan.script(call, self.begun[plan.name])
        words = last["content"].split()
        answer = int(words[0].split("/")[1])
        if not plan.answer(answer).text.startswith(" ".join(words)):
            self.misled.append(f"{plan.name}: asked to go on from {last['content'][-200:]}")
        return plan.script(call, answer, len(words))

    def good_answers(self, plan: Plan) -> list[Answer]:
        return [plan.answer(number + 1) for number in range(self.begun[plan.name])]

    def log_faults(self, plan: Plan, task_id: str, events: Sequence[Event]) -> list[str]:
        """A text goes on. Reasoning and calls of tools cannot be given back to a model."""
        found = [each for each in self.misled if each.startswith(f"{plan.name}:")]
        if not plan.mixed and (taken := retractions(events)):
            found.append(f"its text was taken back {taken} times")
        return found
