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
    "previous_response_id",
    "conversation",
)
"""What an operator refuses unless the settings say otherwise: LiteLLM's and vLLM's parameters that
choose a server, a key or a template, and those of the Responses API by which a caller would go on
from what another caller's task has left at the model's server."""

OPTIONS_LIMIT = 1_000

HOSTED_KINDS = ("file_search", "code_interpreter", "image_generation", "mcp")
"""Types of tools that the model's server runs itself."""
WEB_SEARCH = "web_search"
"""One more. Its versions are types of their own, such as `web_search_preview_2025_03_11`."""

_FIELDS = {
    **{name: name for name in ("model", "messages", "temperature", "metadata", "prompt", "system")},
    **dict.fromkeys(("max_tokens", "max_completion_tokens", "maxTokens"), "maxTokens"),
    "previousTaskId": "previousTaskId",
}
_NEVER = {
    "stream": "every answer is streamed",
    "stream_options": "every answer is streamed, with its usage",
}
RESERVED_OPTIONS = (*_FIELDS, *_NEVER)
"""What no request may have among its options, whatever the settings say."""

_REPLACED = "OpenAI has replaced it by"
_ONLY: dict[str, tuple[tuple[object, ...], str]] = {
    "n": ((1,), "must be 1: a task has one answer"),
    "modalities": ((["text"],), 'must be ["text"]: no other kind of answer is carried'),
    "audio": ((), "is not accepted: answers with audio are not carried"),
    "functions": ((), f"is not accepted: {_REPLACED} tools"),
    "function_call": ((), f"is not accepted: {_REPLACED} tool_choice"),
    "logprobs": ((False,), "is not accepted: log probabilities are not carried"),
    "top_logprobs": ((), "is not accepted: log probabilities are not carried"),
}
ACCEPTED_VALUES = {name: (None, *values) for name, (values, _) in _ONLY.items()}
"""The values that some options may have, since others would give an answer of a shape that is not
carried."""


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
        elif name in _NEVER:
            yield Fault(field, f"is not accepted: {_NEVER[name]}")
        elif name in names or name.startswith(beginnings):
            yield Fault(field, "is refused by this service")
        elif name in _ONLY and not _is_one_of(value, ACCEPTED_VALUES[name]):
            yield Fault(field, _ONLY[name][1])


def is_hosted_tool(tool: object) -> bool:
    """Whether a tool, or the choice of one, is run by the model's server."""
    kind = tool.get("type") if isinstance(tool, Mapping) else None
    return isinstance(kind, str) and (kind in HOSTED_KINDS or kind.startswith(WEB_SEARCH))


def asks_hosted_tools(options: Mapping[str, Any]) -> bool:
    """Whether any of the tools of a request is one."""
    tools = options.get("tools")
    return isinstance(tools, Sequence) and any(map(is_hosted_tool, tools))


def _is_one_of(value: object, values: Sequence[object]) -> bool:
    """Whether JSON would be the same: `true` is not 1."""
    return any(type(value) is type(each) and value == each for each in values)
