"""The ids that OpenAI's clients are given. Each holds the id of its task, so that no other store is
needed."""

import re

from domain.task_id import TASK_ID_PATTERN

_RESPONSE = re.compile(f"resp_({TASK_ID_PATTERN})")
OWN_PREFIXES = ("msg", "rs", "fc")
"""Of the ids of messages, reasoning and calls of functions."""
ITEM_PREFIX = "[a-z]{2,16}"
"""Of the id of any output item: one of the upstream keeps its own."""
_ITEM = re.compile(f"({ITEM_PREFIX})_({TASK_ID_PATTERN})_(0|[1-9][0-9]{{0,8}})")


def response_id(task_id: str) -> str:
    return f"resp_{task_id}"


def chat_id(task_id: str) -> str:
    return f"chatcmpl-{task_id}"


def task_of_response(response: str) -> str | None:
    """Return the id of the task that a response stands for, or None if no task can have it."""
    found = _RESPONSE.fullmatch(response)
    return found and found[1]


def item_id(kind: str, task_id: str, index: int) -> str:
    """Return the id of an output item: `kind` is its prefix, `index` its output index."""
    return f"{kind}_{task_id}_{index}"


def parse_item_id(item: str) -> tuple[str, str, int] | None:
    """Return the kind, the task and the output index of an output item. None if this service never
    gave out such an id."""
    found = _ITEM.fullmatch(item)
    return found and (found[1], found[2], int(found[3]))
