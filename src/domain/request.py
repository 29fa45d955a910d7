"""What a client asks for, and its bounds."""

from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from domain.errors import Fault, InvalidRequest

PROMPT_LIMIT = 100_000
"""Characters of the prompt, of the system text, and of all messages together."""
MESSAGES_LIMIT = 1_000
MAX_TOKENS_LIMIT = 128_000
TEMPERATURE_LIMIT = 2.0
MODEL_NAME_LIMIT = 200
METADATA_PAIRS_LIMIT = 16
METADATA_KEY_LIMIT = 64
METADATA_VALUE_LIMIT = 512


class Role(StrEnum):
    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"


@dataclass(frozen=True, slots=True)
class Message:
    role: Role
    content: str


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
    metadata: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "metadata", MappingProxyType(dict(self.metadata)))

    def faults(self) -> list[Fault]:
        """Return everything that is out of bounds."""
        return [*self._text_faults(), *self._number_faults(), *self._metadata_faults()]

    def check(self) -> None:
        """Raise `InvalidRequest` unless the request is within all bounds."""
        if faults := self.faults():
            raise InvalidRequest(faults)

    def conversation(self) -> tuple[Message, ...]:
        """Return the request as chat messages: the system text, then the prompt or messages."""
        opening = (Message(Role.SYSTEM, self.system),) if self.system is not None else ()
        if self.prompt is not None:
            return (*opening, Message(Role.USER, self.prompt))
        return (*opening, *self.messages)

    def to_fields(self) -> dict[str, Any]:
        """Return the fields by name, in plain dicts and lists, without those that have their
        default value. So a new field changes nothing for requests that do not use it."""
        return _plain_fields(self)

    def _text_faults(self) -> list[Fault]:
        faults = []
        if self.prompt is None and not self.messages:
            faults.append(Fault("prompt", "either prompt or messages is required"))
        if self.prompt is not None and self.messages:
            faults.append(Fault("messages", "give either prompt or messages, not both"))
        if self.prompt is not None:
            faults.extend(_text_fault("prompt", self.prompt, PROMPT_LIMIT))
        if self.system is not None:
            faults.extend(_text_fault("system", self.system, PROMPT_LIMIT))
        if len(self.messages) > MESSAGES_LIMIT:
            faults.append(Fault("messages", f"must be at most {MESSAGES_LIMIT} messages"))
        for index, message in enumerate(self.messages[:MESSAGES_LIMIT]):
            if not message.content.strip():
                faults.append(Fault(f"messages[{index}].content", "must not be empty"))
        if sum(len(message.content) for message in self.messages) > PROMPT_LIMIT:
            faults.append(
                Fault("messages", f"must be at most {PROMPT_LIMIT} characters in all"),
            )
        faults.extend(_text_fault("model", self.model, MODEL_NAME_LIMIT))
        if not (self.model.isascii() and self.model.isprintable()):
            faults.append(Fault("model", "must be printable ASCII"))
        return faults

    def _number_faults(self) -> list[Fault]:
        faults = []
        if self.max_tokens is not None and not 1 <= self.max_tokens <= MAX_TOKENS_LIMIT:
            faults.append(Fault("max_tokens", f"must be from 1 to {MAX_TOKENS_LIMIT}"))
        if self.temperature is not None and not 0 <= self.temperature <= TEMPERATURE_LIMIT:
            faults.append(Fault("temperature", f"must be from 0 to {TEMPERATURE_LIMIT:g}"))
        return faults

    def _metadata_faults(self) -> list[Fault]:
        faults = []
        if len(self.metadata) > METADATA_PAIRS_LIMIT:
            faults.append(Fault("metadata", f"must be at most {METADATA_PAIRS_LIMIT} pairs"))
        for key, value in self.metadata.items():
            if not 1 <= len(key) <= METADATA_KEY_LIMIT:
                faults.append(
                    Fault("metadata", f"a key must be 1 to {METADATA_KEY_LIMIT} characters"),
                )
            if len(value) > METADATA_VALUE_LIMIT:
                faults.append(
                    Fault("metadata", f"a value must be at most {METADATA_VALUE_LIMIT} characters"),
                )
        return faults


def _text_fault(name: str, text: str, limit: int) -> list[Fault]:
    if not text.strip():
        return [Fault(name, "must not be empty")]
    if len(text) > limit:
        return [Fault(name, f"must be at most {limit} characters")]
    return []


def _plain_fields(value: Any) -> dict[str, Any]:
    given = {each: getattr(value, each.name) for each in fields(value)}
    return {each.name: _plain(item) for each, item in given.items() if item != _default(each)}


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return _plain_fields(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value


def _default(of: Field[Any]) -> Any:
    return of.default if of.default_factory is MISSING else of.default_factory()
