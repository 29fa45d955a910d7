"""The title of a request, and which tasks a list has."""

from typing import Any

import pytest

from domain.events import TaskStatus
from domain.request import TITLE_LIMIT, TaskRequest
from domain.task import Task
from domain.task_filter import TaskFilter

IMAGE = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
TASK = Task.submit(
    "task_1_a", TaskRequest(model="m", prompt="Hi.", metadata={"a": "1", "b": "2"}), 7
).task


@pytest.mark.parametrize(
    ("request_", "title"),
    [
        ({"prompt": "  Write\n\ta story. "}, "Write a story."),
        ({"prompt": "word " * 1_000_000}, ("word " * 16).rstrip()),
        ({"prompt": "x" * 1_000}, "x" * TITLE_LIMIT),
        ({"messages": ({"role": "system", "content": "Be short."},)}, ""),
        (
            {
                "messages": (
                    {"role": "user", "content": "One"},
                    {"role": "assistant", "content": "Two"},
                    {"role": "user", "content": [IMAGE, {"type": "text", "text": "Three"}]},
                    {"role": "assistant", "content": "Four"},
                )
            },
            "Three",
        ),
        ({"messages": ({"role": "user", "content": [IMAGE]},)}, ""),
    ],
)
def test_the_title_is_how_the_last_message_of_the_user_begins(
    request_: dict[str, Any], title: str
) -> None:
    request = TaskRequest(model="m", **request_)
    assert request.title == title
    assert Task.submit("task_1_a", request, 7).task.title == title


@pytest.mark.parametrize(
    ("wanted", "matches"),
    [
        (TaskFilter(), True),
        (TaskFilter(statuses=frozenset({TaskStatus.PENDING, TaskStatus.FAILED})), True),
        (TaskFilter(statuses=frozenset({TaskStatus.RUNNING})), False),
        (TaskFilter(model="m"), True),
        (TaskFilter(model="M"), False),
        (TaskFilter(metadata={"b": "2"}), True),
        (TaskFilter(metadata={"b": "2", "c": "3"}), False),
        (TaskFilter(metadata={"a": "2"}), False),
        (TaskFilter(created_after=6, created_before=8), True),
        (TaskFilter(created_after=7), False),
        (TaskFilter(created_before=7), False),
        (TaskFilter(model="m", metadata={"a": "1"}, created_before=7), False),
    ],
)
def test_a_task_must_match_every_condition(wanted: TaskFilter, matches: bool) -> None:
    assert wanted.matches(TASK) is matches
