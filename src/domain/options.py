"""The parameters of chat completions that a request passes on, and those that it may not have.

Models change monthly, so any name is passed on but for these: what has a field of its own in a
request, what would change the shape of the answer to one that a log cannot carry, and what the
operator refuses because the model's server may obey it (another server's address, another key).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from domain.errors import Fault, shown

REFUSED_OPTIONS = (
    "api_base",
    "base_url",
    "api_key",
    "extra_*",
    "timeout",
    "user_config",
    "chat_template",
    "priority",
)
"""What an operator refuses unless the settings say otherwise: LiteLLM's and vLLM's parameters that
choose a server, a key or a template."""

OPTIONS_LIMIT = 1_000

_FIELDS = {
    **{name: name for name in ("model", "messages", "temperature", "metadata", "prompt", "system")},
    **dict.fromkeys(("max_tokens", "max_completion_tokens", "maxTokens"), "maxTokens"),
    "previousTaskId": "previousTaskId",
}
_STREAMED = {
    "stream": "every answer is streamed",
    "stream_options": "every answer is streamed, with its usage",
}
_NOT_CARRIED = {
    "audio": "answers with audio are not carried",
    "functions": "use tools in place of functions, which OpenAI has replaced by them",
    "function_call": "use tool_choice in place of function_call, which OpenAI has replaced by it",
    "logprobs": "log probabilities are not carried",
    "top_logprobs": "log probabilities are not carried",
}
_ONLY = {
    "n": (1, "1: a task has one answer"),
    "modalities": (["text"], '["text"]: no other kind of answer is carried'),
}
RESERVED_OPTIONS = (*_FIELDS, *_STREAMED, *_NOT_CARRIED)
"""Names that are refused whatever the settings say, some of them only with a value."""


def option_faults(options: Mapping[str, Any], refused: Sequence[str]) -> Iterator[Fault]:
    """Yield a fault for each option that is refused. A name of `refused` may end in `*`."""
    if len(options) > OPTIONS_LIMIT:
        yield Fault("options", f"must be at most {OPTIONS_LIMIT} options")
        return
    names = frozenset(refused)
    beginnings = tuple(each[:-1] for each in refused if each.endswith("*"))
    for name, value in options.items():
        field = f"options.{shown(name)}"
        if name in _FIELDS:
            yield Fault(field, f"use the field {_FIELDS[name]}")
        elif name in _STREAMED:
            yield Fault(field, f"is not accepted: {_STREAMED[name]}")
        elif name in names or name.startswith(beginnings):
            yield Fault(field, "is refused by this service")
        elif value is None:
            continue
        elif name in _NOT_CARRIED and value is not False:
            yield Fault(field, f"is not accepted: {_NOT_CARRIED[name]}")
        elif name in _ONLY and value != _ONLY[name][0]:
            yield Fault(field, f"must be {_ONLY[name][1]}")
