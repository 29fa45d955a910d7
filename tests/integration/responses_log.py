"""What a task log would have of an answer that ResponsesModel reads, and an answer with every kind
of piece."""

from dataclasses import dataclass, field

from adapters.openai.responses import ResponsesModel
from application.ports import Finished, Item, Kept, Numbered, Resumption
from application.transcript import Transcript
from domain.answer import Answer
from domain.continuation import Continuation
from domain.request import TaskRequest
from tests.doubles.responses_upstream import (
    Step,
    call_item,
    delta,
    end_event,
    item_event,
    message_item,
)

REQUEST = TaskRequest(model="m", prompt="Hi.")
NOTE = {"type": "url_citation", "url": "https://example.org", "start_index": 0, "end_index": 2}
CALLS = [call_item("x", "f", '{"a": "\U0001f600"}'), call_item("y", "g", "{}")]
THOUGHT = {
    "type": "reasoning",
    "id": "rs_1",
    "summary": [{"type": "summary_text", "text": each} for each in ("One.", "Two.")],
}
SEARCH = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"query": "q"}}
SAID = message_item(
    {"type": "output_text", "text": "a\U0001f600b", "annotations": [NOTE]},
    {"type": "refusal", "refusal": "No."},
)
EVERYTHING: list[Step] = [
    item_event({**THOUGHT, "summary": []}),
    {"type": "response.reasoning_summary_part.added", "output_index": 0, "summary_index": 0},
    delta("One", "reasoning_summary_text"),
    delta(".", "reasoning_summary_text"),
    {"type": "response.reasoning_summary_part.added", "output_index": 0, "summary_index": 1},
    delta("Two.", "reasoning_summary_text"),
    item_event(THOUGHT, done=True),
    item_event({**SEARCH, "status": "in_progress"}, 1),
    {"type": "response.web_search_call.searching", "output_index": 1, "item_id": "ws_1"},
    item_event(SEARCH, 1, done=True),
    item_event(message_item(status="in_progress"), 2),
    delta("a\ud83d", index=2),
    delta("\ude00b", index=2),
    {"type": "response.output_text.annotation.added", "output_index": 2, "annotation": NOTE},
    delta("No.", "refusal", 2),
    item_event(SAID, 2, done=True),
    item_event(call_item("x", "f"), 3),
    {"type": "response.function_call_arguments.delta", "output_index": 3, "delta": '{"a": "\ud83d'},
    {"type": "response.function_call_arguments.delta", "output_index": 3, "delta": '\ude00"}'},
    item_event(CALLS[0], 3, done=True),
    item_event(call_item("y", "g"), 4),
    item_event(CALLS[1], 4, done=True),
    end_event([THOUGHT, SEARCH, SAID, *CALLS]),
]
EVENTS = len(EVERYTHING) + 2  # created, in_progress


@dataclass
class Log:
    """What a task log would have of an answer."""

    transcript: Transcript = field(default_factory=lambda: Transcript("T", 10_000))
    kept: Continuation = field(default_factory=lambda: Continuation(1, "upstream"))
    end: Finished | None = None
    items: list[Item] = field(default_factory=list)

    async def attempt(self, model: ResponsesModel, request: TaskRequest = REQUEST) -> None:
        """Run one attempt to its end, or until it is lost."""
        resumption = Resumption("key-1", self.transcript.answer(), self.kept)
        async for item in model.stream(request, resumption):
            self.add(item)

    def add(self, item: Item) -> None:
        self.items.append(item)
        if isinstance(item, Kept):
            self.kept = self.kept.noted(item.response_id)
        elif isinstance(item, Numbered):
            self.transcript.events(item.pieces, 1)
            self.kept = self.kept.advanced(item.cursor, 0, 1)
        elif isinstance(item, Finished):
            self.end = item
        else:
            self.transcript.events(item, 1)

    @property
    def answer(self) -> Answer:
        return self.transcript.answer()
