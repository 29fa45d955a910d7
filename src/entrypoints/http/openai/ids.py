"""The ids that OpenAI's clients are given, and the tasks that they name."""

import re

from domain.task import TASK_ID_PATTERN

_RESPONSE = re.compile(f"resp_({TASK_ID_PATTERN})")
_ITEM = re.compile(f"(?:msg|rs|fc)_({TASK_ID_PATTERN})_[0-9]{{1,9}}")


def response_id(task_id: str) -> str:
    return f"resp_{task_id}"


def task_of_response(response: str) -> str | None:
    """Return the id of the task that a response stands for, or None if no task can have it."""
    found = _RESPONSE.fullmatch(response)
    return found and found[1]


def task_of_item(item: str) -> str | None:
    """Return the id of the task whose output holds an item, or None if no task's can."""
    found = _ITEM.fullmatch(item)
    return found and found[1]
