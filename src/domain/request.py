"""What a client asks for, and its bounds."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, replace
from itertools import chain, islice
from types import MappingProxyType
from typing import Any

from domain.answer import DEPTH_LIMIT
from domain.errors import Fault, InvalidRequest
from domain.flow_control import FlowControl
from domain.messages import (
    Message,
    message_faults,
    text_message,
    texts_of,
    tokens_of,
    tool_faults,
)
from domain.options import REFUSED_OPTIONS, option_faults
from domain.request_times import DELAY_LIMIT, time_faults
from domain.webhook_url import url_fault

REQUEST_LIMIT = 8 * 1024 * 1024
"""Bytes of a request, as the JSON of its fields, unless the settings say otherwise."""
TTL_LIMIT = 86_400
"""Seconds for which an ended task may ask to be kept, unless the settings say otherwise."""
MAX_TOKENS_LIMIT = 10_000_000
BUDGET_LIMIT = 1_000_000_000
"""Tokens of the budget of a request."""
TEMPERATURE_LIMIT = 2.0
MODEL_NAME_LIMIT = 200
METADATA_PAIRS_LIMIT = 16
METADATA_KEY_LIMIT = 64
METADATA_VALUE_LIMIT = 512
TITLE_LIMIT = 80
NUMBER_LIMIT = 10**300
"""Of whole numbers in the messages and in the options. No server reads larger ones, and to write
megabytes of numbers of thousands of digits takes seconds."""
FAULTS_LIMIT = 100
"""Faults that are told of one request."""


@dataclass(frozen=True, slots=True)
class RequestBounds:
    """What the operator allows."""

    max_bytes: int = REQUEST_LIMIT
    refused_options: tuple[str, ...] = REFUSED_OPTIONS
    """Names of options, which may end in `*`."""
    http_media: bool = False
    """Whether images and files may have http URLs. The model's server fetches them."""
    max_ttl: int = TTL_LIMIT
    """Seconds for which the service keeps a task."""
    max_delay: int = DELAY_LIMIT
    """Seconds by which a task may be delayed."""
    http_webhooks: bool = False
    """Whether webhooks may have http URLs."""
    prefill: bool = False
    """Whether requests may ask for prefill: the settings say how the model's server wants it."""
    hosted_tools: bool = False
    """Whether the model's server runs tools itself, and tells what they did."""


DEFAULT_BOUNDS = RequestBounds()


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRequest:
    """A request. The use case that accepts it calls `check`. It is not checked again after that, so
    that a bound that is lowered leaves the requests that are stored or queued readable."""

    model: str
    max_tokens: int | None = None
    """None: the model's own limit."""
    temperature: float | None = None
    """None: the model's own."""
    prompt: str | None = None
    messages: tuple[Message, ...] = ()
    system: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    """Other parameters of chat completions, in OpenAI's own spelling."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    ttl: int | None = None
    """Seconds for which the task is kept after its end. None: as long as the service keeps tasks.
    """
    delay: int | None = None
    """Seconds from its acceptance on for which the task does not begin."""
    not_before: int | None = None
    """When it may begin, in milliseconds since the Unix epoch."""
    deadline: int | None = None
    """Seconds from its acceptance on after which the task fails, whatever it is doing."""
    flow_control: FlowControl | None = None
    """How many tasks of this caller with the same key may run at once, or begin in a period."""
    budget_tokens: int | None = None
    """Tokens of all attempts together after which the task fails."""
    webhook_url: str | None = None
    """Whom the service tells that the task has ended."""
    prefill: bool | None = None
    """Whether the model's server may be asked to go on from what a lost attempt has said. None: as
    the settings say."""
    echo: Mapping[str, Any] = field(default_factory=dict)
    """What a client's own protocol says of a request and returns with it. The model is not sent it,
    unless it is asked by that protocol too."""
    previous_task_id: str | None = None
    """The task whose conversation this one continues."""
    history: tuple[Message, ...] = ()
    """That conversation, its answer included, since the task was accepted."""
    _measures: list[tuple[int, str]] = field(
        default_factory=list, init=False, repr=False, compare=False
    )
    """Size and digest, once they are known: to write megabytes of JSON takes 50 ms."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "metadata", MappingProxyType(dict(self.metadata)))
        object.__setattr__(self, "options", MappingProxyType(dict(self.options)))
        object.__setattr__(self, "echo", MappingProxyType(dict(self.echo)))

    @property
    def title(self) -> str:
        """How the last message of the user begins: at most TITLE_LIMIT characters in one line, or
        nothing if it has no text."""
        asked = [each for each in self.messages if each.get("role") == "user"]
        texts = texts_of(asked[-1]) if asked else [self.prompt or ""]
        begin = "".join(texts[:1])[: 10 * TITLE_LIMIT]
        return " ".join(begin.split())[:TITLE_LIMIT].rstrip()

    def begins_at(self, now: int) -> int | None:
        """Return the time before which a task that is accepted now does not begin. None: it begins
        at once."""
        at = self.not_before if self.delay is None else now + 1000 * self.delay
        return None if at is None or at <= now else at

    def ends_at(self, now: int) -> int | None:
        """Return the deadline of a task that is accepted now, if it has one."""
        return None if self.deadline is None else now + 1000 * self.deadline

    def at_once(self) -> "TaskRequest":
        """Return the request without its delay."""
        if self.delay is self.not_before is None:
            return self
        return replace(self, delay=None, not_before=None)

    def faults(self, bounds: RequestBounds = DEFAULT_BOUNDS, now: int | None = None) -> list[Fault]:
        """Return what is out of bounds, at most `FAULTS_LIMIT` of it. What needs the previous task
        is not checked, and neither is the size: only `size` tells it. `now`: when it is accepted;
        None: how far away `not_before` is does not matter."""
        faults = chain(
            self._text_faults(),
            message_faults(self.messages, http_media=bounds.http_media),
            # With a previous task, a result may belong to a call of that one.
            tool_faults((), self.messages) if self.previous_task_id is None else (),
            self._number_faults(bounds),
            time_faults(self.delay, self.not_before, self.deadline, bounds.max_delay, now),
            () if self.flow_control is None else self.flow_control.faults(),
            self._prefill_faults(bounds),
            self._webhook_faults(bounds),
            option_faults(self.options, bounds.refused_options),
            self._value_faults(),
            self._metadata_faults(),
        )
        return list(islice(faults, FAULTS_LIMIT))

    def check(self, bounds: RequestBounds = DEFAULT_BOUNDS, now: int | None = None) -> None:
        """Raise `InvalidRequest` unless `faults` finds none."""
        if faults := self.faults(bounds, now):
            raise InvalidRequest(faults)

    def given(self) -> tuple[Message, ...]:
        """Return the prompt or the messages of this request, as messages."""
        return (text_message("user", self.prompt),) if self.prompt is not None else self.messages

    def conversation(self) -> tuple[Message, ...]:
        """Return the request as chat messages: the system text, the history, then the prompt or
        messages."""
        opening = (text_message("system", self.system),) if self.system is not None else ()
        return (*opening, *self.history, *self.given())

    def tokens(self) -> int:
        """Return about how many tokens the text of the conversation costs."""
        return tokens_of(self.conversation())

    def digest(self) -> str:
        """Return the SHA-256 of all fields, in hexadecimal: the same for equal requests."""
        return self._measured()[1]

    def size(self) -> int:
        """Return the number of bytes of the request as JSON."""
        return self._measured()[0]

    def to_fields(self) -> dict[str, Any]:
        """Return the fields by name, in plain dicts and lists, without those that have their
        default value. So a new field changes nothing for requests that do not use it."""
        return _plain_fields(self)

    def _measured(self) -> tuple[int, str]:
        if not self._measures:
            text = json.dumps(self.to_fields(), sort_keys=True, ensure_ascii=False)
            canonical = text.encode("utf-8", "surrogatepass")
            self._measures.append((len(canonical), hashlib.sha256(canonical).hexdigest()))
        return self._measures[0]

    def _text_faults(self) -> Iterator[Fault]:
        if self.prompt is None and not self.messages:
            yield Fault("prompt", "either prompt or messages is required")
        if self.prompt is not None and self.messages:
            yield Fault("messages", "give either prompt or messages, not both")
        if self.prompt is not None and not self.prompt.strip():
            yield Fault("prompt", "must not be empty")
        if self.system is not None and not self.system.strip():
            yield Fault("system", "must not be empty")
        if not self.model.strip():
            yield Fault("model", "must not be empty")
        elif len(self.model) > MODEL_NAME_LIMIT:
            yield Fault("model", f"must be at most {MODEL_NAME_LIMIT} characters")
        if not (self.model.isascii() and self.model.isprintable()):
            yield Fault("model", "must be printable ASCII")

    def _number_faults(self, bounds: RequestBounds) -> Iterator[Fault]:
        if self.max_tokens is not None and not 1 <= self.max_tokens <= MAX_TOKENS_LIMIT:
            yield Fault("max_tokens", f"must be from 1 to {MAX_TOKENS_LIMIT}")
        if self.budget_tokens is not None and not 1 <= self.budget_tokens <= BUDGET_LIMIT:
            yield Fault("budget.tokens", f"must be from 1 to {BUDGET_LIMIT}")
        if self.temperature is not None and not 0 <= self.temperature <= TEMPERATURE_LIMIT:
            yield Fault("temperature", f"must be from 0 to {TEMPERATURE_LIMIT:g}")
        if self.ttl is not None and not 1 <= self.ttl <= bounds.max_ttl:
            yield Fault("ttl", f"must be from 1 to {bounds.max_ttl}")

    def _prefill_faults(self, bounds: RequestBounds) -> Iterator[Fault]:
        if self.prefill and not bounds.prefill:
            yield Fault("prefill", "must not be true: this service does not continue answers so")

    def _webhook_faults(self, bounds: RequestBounds) -> Iterator[Fault]:
        if self.webhook_url is None:
            return
        fault = url_fault(self.webhook_url, http_allowed=bounds.http_webhooks)
        if fault is not None:
            yield Fault("webhook.url", fault)

    def _value_faults(self) -> Iterator[Fault]:
        parts = {"messages": self.messages, "options": self.options, "echo": self.echo}
        for name, value in parts.items():
            level: list[Any] = [value]
            for _ in range(DEPTH_LIMIT):
                level = [child for each in level for child in _children(each)]
                if not level:
                    break
                if any(type(each) is int and abs(each) > NUMBER_LIMIT for each in level):
                    yield Fault(name, "must hold whole numbers of at most 300 digits")
                    break
            else:
                if any(isinstance(each, dict | list) for each in level):
                    yield Fault(name, f"must be nested at most {DEPTH_LIMIT} levels deep")

    def _metadata_faults(self) -> Iterator[Fault]:
        if len(self.metadata) > METADATA_PAIRS_LIMIT:
            yield Fault("metadata", f"must be at most {METADATA_PAIRS_LIMIT} pairs")
        if not all(1 <= len(key) <= METADATA_KEY_LIMIT for key in self.metadata):
            yield Fault("metadata", f"a key must be 1 to {METADATA_KEY_LIMIT} characters")
        if any(len(value) > METADATA_VALUE_LIMIT for value in self.metadata.values()):
            yield Fault("metadata", f"a value must be at most {METADATA_VALUE_LIMIT} characters")


def _plain_fields(request: TaskRequest) -> dict[str, Any]:
    given = ((name, getattr(request, name), default) for name, default in _DEFAULTS.items())
    return {name: _plain(item) for name, item, default in given if item != default}


def _plain(value: Any) -> Any:
    if isinstance(value, FlowControl):
        return value.to_fields()
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, tuple) else value


def _children(value: object) -> Iterable[Any]:
    """Return the values in an array or an object; none for any other value."""
    if isinstance(value, Mapping):
        return value.values()
    return value if isinstance(value, list | tuple) else ()


def _default(of: Field[Any]) -> Any:
    return of.default if of.default_factory is MISSING else of.default_factory()


_DEFAULTS = {each.name: _default(each) for each in fields(TaskRequest) if each.init}
