"""From the body of `POST /v1/chat/completions` to the request of a task, which has its form."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from domain.errors import Fault
from domain.request import DEFAULT_BOUNDS, RequestBounds, TaskRequest
from entrypoints.http.fields import UNSUPPORTED, Fields, refuse_if
from entrypoints.http.request_defaults import RequestDefaults

_LENGTHS = ("max_tokens", "max_completion_tokens")
_REFUSED = {
    **UNSUPPORTED,
    "prompt": "is not accepted: use messages",
    "system": "is not accepted: use a message whose role is system",
    "maxTokens": "is not accepted: use max_completion_tokens",
    "previousTaskId": "is not accepted: send the whole conversation",
}
"""Fields of the native API."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """What a client asks for with a body."""

    request: TaskRequest
    stream: bool
    include_usage: bool
    """Whether the stream ends with the usage."""
    length_param: str = _LENGTHS[0]
    """Which of the two names the client wrote."""

    def param_of(self, field: str) -> str:
        """Return what the client wrote for a field of the request, for faults that are found
        later."""
        named = {"max_tokens": self.length_param, "prompt": "messages", "options": "body"}
        return named.get(field, field.removeprefix("options."))


def read_chat_request(
    body: Mapping[str, Any], defaults: RequestDefaults, bounds: RequestBounds = DEFAULT_BOUNDS
) -> ChatRequest:
    """Read a body. Raises a problem (400) with every fault, the broken `bounds` included, if it has
    not the shape that it should have. If it has, the bounds are for the use case to check."""
    faults: list[Fault] = []
    fields = Fields(body, "", faults)
    fields.refuse_given(_REFUSED)
    fields.flag("store")  # a task is kept as long as any other
    streaming = fields.inner("stream_options")
    include_usage = streaming is not None and (streaming.flag("include_usage") or False)
    lengths = {name: length for name in _LENGTHS if (length := fields.whole(name)) is not None}
    if len(lengths) == len(_LENGTHS):
        fields.refuse("max_tokens", "is not accepted together with max_completion_tokens")
    stream = fields.flag("stream") or False
    request = defaults.request(
        model=fields.text("model"),
        max_tokens=next(iter(lengths.values()), None),
        temperature=fields.number("temperature"),
        messages=_read_messages(fields),
        metadata=fields.texts("metadata"),
        echo={"api": "chat"},
        ttl=fields.whole("ttl"),
        # Last, since what nothing has read is an option.
        options=fields.unread(),
    )
    asked = ChatRequest(
        request=request,
        stream=stream,
        include_usage=include_usage,
        length_param=next(iter(lengths), _LENGTHS[0]),
    )
    refuse_if(faults, request, bounds, asked.param_of)
    return asked


def _read_messages(fields: Fields) -> tuple[Any, ...]:
    """Return the messages unchanged. The domain names what is wrong with each."""
    messages = fields.array("messages")
    if not messages and (messages is not None or fields.value("messages") is None):
        fields.refuse("messages", "is required" if messages is None else "must not be empty")
    return tuple(messages or ())
