"""Bounds of a request, each at its edge."""

from typing import Any

import pytest

from domain.answer import Answer
from domain.errors import InvalidRequest, MalformedTaskId
from domain.messages import MESSAGES_LIMIT
from domain.request import MAX_TOKENS_LIMIT, NUMBER_LIMIT, TTL_LIMIT, TaskRequest
from domain.request_times import DELAY_LIMIT
from domain.task import Task
from domain.task_id import check_task_id
from tests.builders import NOW


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


GOOD: dict[str, Any] = {"model": "m", "max_tokens": 10, "temperature": 0.5, "prompt": "Hi."}


@pytest.mark.parametrize(
    "changes",
    [
        {"prompt": "x"},
        {"max_tokens": 1},
        {"max_tokens": None, "temperature": None},
        {"max_tokens": MAX_TOKENS_LIMIT},
        {"temperature": 0},
        {"temperature": 2},
        {"ttl": 1},
        {"ttl": TTL_LIMIT},
        {"delay": 0},
        {"delay": DELAY_LIMIT},
        {"not_before": 0},
        {"not_before": NOW + DELAY_LIMIT * 1000},
        {"prefill": False},
        {"metadata": {"k" * 64: "v" * 512}},
        {"metadata": {str(number): "" for number in range(16)}},
        {"prompt": None, "messages": (user("x"),) * MESSAGES_LIMIT},
        {"options": {"a": [NUMBER_LIMIT, -NUMBER_LIMIT, 1e308]}},
    ],
)
def test_the_edge_is_inside(changes: dict[str, Any]) -> None:
    TaskRequest(**{**GOOD, **changes}).check(now=NOW)


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"system": " "}, ["system"]),
        ({"max_tokens": 0}, ["max_tokens"]),
        ({"max_tokens": MAX_TOKENS_LIMIT + 1}, ["max_tokens"]),
        ({"temperature": -0.01}, ["temperature"]),
        ({"temperature": 2.01}, ["temperature"]),
        ({"ttl": 0}, ["ttl"]),
        ({"delay": -1}, ["delay"]),
        ({"delay": DELAY_LIMIT + 1}, ["delay"]),
        ({"not_before": NOW + DELAY_LIMIT * 1000 + 1}, ["not_before"]),
        ({"delay": 1, "not_before": NOW}, ["not_before"]),
        ({"ttl": TTL_LIMIT + 1}, ["ttl"]),
        ({"temperature": float("nan")}, ["temperature"]),
        ({"model": "x" * 201}, ["model"]),
        ({"model": "a\x00"}, ["model"]),
        ({"prefill": True}, ["prefill"]),
        ({"metadata": {"": "v"}}, ["metadata"]),
        ({"metadata": {"k" * 65: "v"}}, ["metadata"]),
        ({"metadata": {"k": "v" * 513}}, ["metadata"]),
        ({"prompt": None, "messages": (user("x"),) * (MESSAGES_LIMIT + 1)}, ["messages"]),
        ({"options": {"a": [{"b": NUMBER_LIMIT + 1}]}}, ["options"]),
        ({"prompt": None, "messages": ({**user("x"), "a": -NUMBER_LIMIT - 1},)}, ["messages"]),
        ({"prompt": " ", "model": "", "max_tokens": -1}, ["prompt", "model", "max_tokens"]),
    ],
)
def test_beyond_it_every_fault_is_named(changes: dict[str, Any], fields: list[str]) -> None:
    with pytest.raises(InvalidRequest) as refused:
        TaskRequest(**{**GOOD, **changes}).check(now=NOW)
    assert [fault.field for fault in refused.value.faults] == fields


def test_a_request_cannot_be_changed_from_outside() -> None:
    metadata = {"k": "v"}
    request = TaskRequest(**{**GOOD, "metadata": metadata})
    metadata["k"] = "other"
    assert request.metadata == {"k": "v"}
    with pytest.raises(TypeError):
        request.metadata["k"] = "other"  # type: ignore[index]


def test_the_conversation_begins_with_the_system_text() -> None:
    with_prompt = TaskRequest(**GOOD, system="S")
    assert with_prompt.conversation() == ({"role": "system", "content": "S"}, user("Hi."))
    messages = (user("A"), {"role": "assistant", "content": "B"})
    with_messages = TaskRequest(**{**GOOD, "prompt": None, "messages": messages})
    assert with_messages.conversation() == messages


@pytest.mark.parametrize("good", ["task_1_a", "test", "A-1", "x" * 128])
def test_task_ids(good: str) -> None:
    assert check_task_id(good) == good


@pytest.mark.parametrize("bad", ["", "a b", "-a", "_a", "x" * 129, "a\n", "é", "{a}", "a:b"])
def test_malformed_task_ids(bad: str) -> None:
    with pytest.raises(MalformedTaskId):
        check_task_id(bad)


def test_a_time_that_has_come_is_no_delay() -> None:
    cases: list[tuple[dict[str, Any], int | None]] = [
        ({}, None),
        ({"delay": 0}, None),
        ({"delay": 1}, NOW + 1000),
        ({"not_before": NOW}, None),
        ({"not_before": NOW + 1}, NOW + 1),
    ]
    for given, begins_at in cases:
        request = TaskRequest(**GOOD, **given)
        assert request.begins_at(NOW) == begins_at
        assert request.at_once() == TaskRequest(**GOOD)


def test_a_task_is_held_back_until_its_time_or_its_first_attempt() -> None:
    task = Task.submit("task_1_a", TaskRequest(**GOOD, delay=9), NOW).task
    assert (task.delay_left(NOW + 500), task.due_at) == (8.5, NOW + 9000)
    assert task.delay_left(NOW + 9000) == task.delay_left(NOW + 10**6) == 0
    begun = task.begin(NOW + 1).task
    assert begun.delay_left(NOW + 2) == begun.requeue(NOW + 2, "x").task.delay_left(NOW + 3) == 0
    assert task.cancel(NOW, Answer("")).task.delay_left(NOW) == 0
