"""The parameters of chat completions that a request passes on, and those that it may not have.

Models change monthly, so any name is passed on but for these: what has a field of its own in a
request, what would change the shape of the answer to one that a log cannot carry, and what the
operator refuses because the model's server may obey it (another server's address, another key).
"""

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from domain.errors import Fault

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

_FIELDS = {
    "model": "model",
    "messages": "messages",
    "max_tokens": "maxTokens",
    "max_completion_tokens": "maxTokens",
    "temperature": "temperature",
    "metadata": "metadata",
}
_NOT_CARRIED = {
    "stream": "every answer is streamed",
    "stream_options": "every answer is streamed, with its usage",
    "audio": "answers with audio are not carried",
    "functions": "use tools in place of functions, which OpenAI has replaced by them",
    "function_call": "use tool_choice in place of function_call, which OpenAI has replaced by it",
    "logprobs": "log probabilities are not carried",
    "top_logprobs": "log probabilities are not carried",
}


def option_faults(options: Mapping[str, Any], refused: Sequence[str]) -> Iterator[Fault]:
    """Yield a fault for each option that is refused. A name of `refused` may end in `*`."""
    for name, value in options.items():
        field = f"options.{name[:100]}"
        if name in _FIELDS:
            yield Fault(field, f"use the field {_FIELDS[name]}")
        elif name in _NOT_CARRIED and value is not None and value is not False:
            yield Fault(field, f"is not accepted: {_NOT_CARRIED[name]}")
        elif name == "n" and value is not None and value != 1:
            yield Fault(field, "must be 1: a task has one answer")
        elif name == "modalities" and value is not None and value != ["text"]:
            yield Fault(field, 'must be ["text"]: answers of other kinds are not carried')
        elif any(fnmatchcase(name, each) for each in refused):
            yield Fault(field, "is refused by this service")
