"""The usage of a task, as streams and records tell it."""

import json
from decimal import Decimal

import pytest

from application.manage_task import TaskWithAnswer
from application.ports import Batch
from domain.answer import Answer
from domain.events import TaskEnded, Usage
from domain.failure import DEADLINE_EXCEEDED
from domain.position import START
from domain.prices import NO_PRICES, Price, Prices
from domain.task import Task
from entrypoints.http.native.bodies import task_body
from entrypoints.http.sse.encoder import SseEncoder
from tests.builders import REQUEST


@pytest.mark.parametrize("reasoning", [None, 0, 5])
def test_reasoning_tokens_are_told_on_all_ways(reasoning: int | None) -> None:
    usage = Usage(3, 5, 8, reasoning, 2)
    told = {
        "promptTokens": 3,
        "completionTokens": 5,
        "totalTokens": 8,
        "reasoningTokens": reasoning,
        "cachedTokens": 2,
        "estimated": False,
    }
    end = TaskEnded(1, Answer(), "length", "m", usage)
    frame = SseEncoder().frame("task_1_a", Batch(START, "e", (end,)))
    assert json.loads(frame.partition(b"data: ")[2])["usage"] == told
    begun = Task.submit("task_1_a", REQUEST, 1).task.claim(1).task
    task = begun.complete(1, answer=Answer(""), finish_reason="length", model="m", usage=usage).task
    body = task_body(TaskWithAnswer(task, REQUEST, Answer()), "/stream", NO_PRICES)
    assert body.usage is not None
    assert {name: getattr(body.usage, name) for name in body.usage.__struct_fields__} == {
        "prompt_tokens": 3,
        "completion_tokens": 5,
        "total_tokens": 8,
        "reasoning_tokens": reasoning,
        "cached_tokens": 2,
        "estimated": False,
    }


def test_what_a_failed_task_has_said_costs_what_the_model_asked_for_does() -> None:
    begun = Task.submit("task_1_a", REQUEST, 1).task.claim(1).task
    task = begun.fail(1, DEADLINE_EXCEEDED, Usage.estimate(3, 2)).task
    prices = Prices({REQUEST.model: Price(Decimal(1_000_000), Decimal(10_000_000))})
    body = task_body(TaskWithAnswer(task, REQUEST, Answer()), "/stream", prices)
    assert body.usage is not None
    assert body.usage.estimated
    assert body.cost is not None
    assert (body.cost.amount, body.cost.estimated) == (23.0, True)
