"""The messages of tasks with deadlines, and of their guards."""

from dataclasses import replace

import pytest

from adapters.qstash.message import MESSAGE_LIMIT, decode, encode, encode_guard
from application.ports import Guard
from domain.request import TaskRequest
from domain.task import Task
from tests.signing import delivered_task


def test_the_id_of_a_guard_is_in_the_message_that_a_lost_task_is_created_from() -> None:
    submitted = Task.submit("task_1_a", TaskRequest(model="m", prompt="Hi.", deadline=60), 7)
    task, request = replace(submitted.task, guard_id="msg_2"), submitted.request
    assert request is not None
    for limit in (MESSAGE_LIMIT, 1):
        restored = delivered_task(encode(task, request, 2, limit)).submitted().task
        assert (restored.deadline, restored.guard_id) == (60_007, "msg_2")


def test_the_guard_of_a_task_is_a_message_of_its_own() -> None:
    """An instance of the version before refuses version 3 until one that knows it gets it."""
    written = b'{"v":3,"taskId":"task_1_a"}'
    assert encode_guard(Guard("task_1_a")) == written
    assert decode(written, now=9) == Guard("task_1_a")
    for wrong in (b'{"v":3}', b'{"v":3,"taskId":"bad id"}', b'{"v":3,"taskId":7}'):
        with pytest.raises(ValueError, match=r"."):
            decode(wrong, now=9)
