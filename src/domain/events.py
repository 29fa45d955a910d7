"""The events of a task, and the rules of an event log.

An event log is a sequence of events, numbered from 1. Clients may rely on its rules:

1. It begins with `pending` and ends with exactly one `TaskEnded` or `TaskErrored`.
2. `running` opens an attempt. Unless it is `resumed`, the pieces before it (text, reasoning, calls
   of tools, output items) no longer count. The answer of `TaskEnded` is what the pieces that count
   add up to.
3. Pieces come only while the task is running; nothing comes after the end.

`fold` reads a log by these rules and raises `IllegalLog` where the log breaks one.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from domain.answer import Answer, AnswerBuilder, JsonObject, characters_in
from domain.errors import IllegalLog


class TaskStatus(StrEnum):
    PENDING = "pending"
    """Waits for a delivery: the first one, or the next one after a lost attempt."""
    RUNNING = "running"
    """An attempt has claimed the task."""
    COMPLETED = "completed"
    """The whole answer of the model is in the log."""
    FAILED = "failed"
    """No attempt will finish the task."""
    CANCELLED = "cancelled"
    """A client stopped the task. Its answer so far is kept."""

    @property
    def terminal(self) -> bool:
        """Whether a task never leaves this status."""
        return not _NEXT[self]

    def may_become(self, status: "TaskStatus") -> bool:
        return status in _NEXT[self]


_NEXT: dict[TaskStatus, frozenset[TaskStatus]] = {
    # A pending task may fail: the queue refused it or lost it, or its deliveries are exhausted.
    TaskStatus.PENDING: frozenset({TaskStatus.RUNNING, TaskStatus.FAILED, TaskStatus.CANCELLED}),
    TaskStatus.RUNNING: frozenset(
        {TaskStatus.PENDING, TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.CANCELLED}
    ),
    TaskStatus.COMPLETED: frozenset(),
    TaskStatus.FAILED: frozenset(),
    TaskStatus.CANCELLED: frozenset(),
}


@dataclass(frozen=True, slots=True)
class Usage:
    """Numbers of tokens, as the model counted them, or estimated."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    reasoning_tokens: int | None = None
    """How many of the completion tokens the model spent on reasoning, if it told."""
    cached_tokens: int | None = None
    """How many of the prompt tokens the model's server had in its cache, if it told."""
    estimated: bool = False
    """Whether the model told no numbers, or not all: these follow from the texts."""

    @property
    def output_tokens(self) -> int:
        """The completion tokens, and those that a server counts in the total alone, as Gemini does
        with reasoning."""
        return max(self.completion_tokens, self.total_tokens - self.prompt_tokens)

    @staticmethod
    def estimate(asked: int, said: int) -> "Usage":
        """Return a usage of estimated numbers of tokens: of a request (`TaskRequest.tokens`) and of
        an answer (`Answer.tokens`)."""
        return Usage(asked, said, asked + said, estimated=True)


@dataclass(frozen=True, slots=True)
class StatusChanged:
    at: int
    """When: milliseconds since the Unix epoch, as in every event."""
    status: TaskStatus
    attempt: int
    """The number of attempts that have begun."""
    reason: str | None = None
    """A code that says why the attempt was lost or the task failed."""
    resumed: bool = False
    """Whether the attempt that begins goes on with what the last one said."""
    next_attempt_at: int | None = None
    """When the next attempt may begin, if one was lost and that is known."""


@dataclass(frozen=True, slots=True)
class ContentAdded:
    """A piece of the text. The fields are those of `domain.answer.Text`."""

    at: int
    text: str
    refusal: bool = False
    annotations: tuple[JsonObject, ...] = ()


@dataclass(frozen=True, slots=True)
class ReasoningAdded:
    """A piece of the model's reasoning."""

    at: int
    text: str


@dataclass(frozen=True, slots=True)
class ToolCallAdded:
    """A piece of a call of a tool. The first piece of each call has the id, which no other call of
    the attempt has."""

    at: int
    index: int
    arguments: str
    id: str | None = None
    name: str | None = None
    """The next piece of the tool's name."""


@dataclass(frozen=True, slots=True)
class ItemAdded:
    """An output item of the upstream's Responses API (`domain.answer.OutputItem`)."""

    at: int
    data: JsonObject


@dataclass(frozen=True, slots=True)
class TaskEnded:
    """The last event of a task that completed or was cancelled."""

    at: int
    answer: Answer
    finish_reason: str
    model: str
    usage: Usage | None = None
    valid: bool | None = None
    """Whether the text parses and fits the schema that the request gave. None: no schema was given,
    the answer is not whole, or it could not be checked."""


@dataclass(frozen=True, slots=True)
class TaskErrored:
    """The last event of a task that failed."""

    at: int
    message: str
    code: str
    retryable: bool


PieceAdded = ContentAdded | ReasoningAdded | ToolCallAdded | ItemAdded
"""The events with pieces of the answer."""
Event = StatusChanged | PieceAdded | TaskEnded | TaskErrored


def is_last(event: Event) -> bool:
    """Whether this event ends a log."""
    return isinstance(event, TaskEnded | TaskErrored)


def text_size(event: Event) -> int:
    """Return the number of characters of the model in an event: text, reasoning, arguments and
    output items."""
    match event:
        case ContentAdded() | ReasoningAdded():
            return len(event.text)
        case ToolCallAdded():
            return len(event.arguments)
        case ItemAdded():
            return characters_in(event.data)
        case TaskEnded():
            return event.answer.size + sum(map(characters_in, event.answer.items))
    return 0


def begins_anew(event: Event) -> bool:
    """Whether the pieces before this event no longer count, since an attempt begins with none."""
    return (
        isinstance(event, StatusChanged)
        and event.status is TaskStatus.RUNNING
        and not event.resumed
    )


def add_piece(answer: AnswerBuilder, event: Event) -> None:
    """Add an event to the answer of its attempt: an attempt that begins anew clears it."""
    match event:
        case ContentAdded(_, text, refusal, annotations):
            answer.add_text(text, refusal, annotations)
        case ReasoningAdded(_, text):
            answer.add_reasoning(text)
        case ToolCallAdded(_, index, arguments, id_, name):
            answer.add_call(index, arguments, id_, name)
        case ItemAdded(_, data):
            answer.add_item(data)
        case StatusChanged() if begins_anew(event):
            answer.clear()


def answer_of(events: Iterable[Event]) -> Answer:
    """Return what the pieces that count add up to. Unlike `fold`, this also reads a log that lost
    its beginning: if a store has lost the log of a task but not its record, the next transition
    begins a new log, which `fold` would refuse because it does not begin with `pending`, attempt
    0."""
    answer = AnswerBuilder()
    for event in events:
        add_piece(answer, event)
    return answer.answer()


@dataclass(frozen=True, slots=True)
class Folded:
    """The state of a task as its log tells it, up to the last event so far."""

    status: TaskStatus
    attempt: int
    answer: Answer
    """What the pieces that count add up to."""
    closed: bool
    """Whether the last event ends the log."""


def fold(events: Iterable[Event]) -> Folded:
    """Read a log from its first event. Raises `IllegalLog` if it breaks a rule or is empty."""
    status: TaskStatus | None = None
    attempt = 0
    answer = AnswerBuilder()
    closed = False
    for event in events:
        if closed:
            raise IllegalLog(f"{event!r} comes after the end")
        match event:
            case StatusChanged():
                if not _may_follow(event, status, attempt):
                    raise IllegalLog(f"{event!r} cannot follow {status} of attempt {attempt}")
                status, attempt = event.status, event.attempt
                add_piece(answer, event)
            case ContentAdded() | ReasoningAdded() | ToolCallAdded() | ItemAdded():
                if status is not TaskStatus.RUNNING:
                    raise IllegalLog(f"a piece of the answer while {status}")
                add_piece(answer, event)
            case TaskEnded():
                if status not in (TaskStatus.COMPLETED, TaskStatus.CANCELLED):
                    raise IllegalLog(f"an end while {status}")
                if event.answer != answer.answer():
                    raise IllegalLog("the end's answer is not what the pieces add up to")
                closed = True
            case TaskErrored():
                if status is not TaskStatus.FAILED:
                    raise IllegalLog(f"an error while {status}")
                closed = True
    if status is None:
        raise IllegalLog("an empty log")
    return Folded(status, attempt, answer.answer(), closed)


def _may_follow(event: StatusChanged, status: TaskStatus | None, attempt: int) -> bool:
    if status is None:
        return event.status is TaskStatus.PENDING and event.attempt == 0
    begun = event.status is TaskStatus.RUNNING
    if event.resumed and not (begun and attempt > 0):
        return False
    return status.may_become(event.status) and event.attempt == attempt + begun
