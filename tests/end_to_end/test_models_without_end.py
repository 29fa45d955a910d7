"""Models whose answer never ends: each task does."""

import itertools
from typing import Any

import pytest

from tests.doubles.upstream import Script, Upstream, event, piece
from tests.running import running_service, settings_for


def _failure(upstream: Upstream, step: bytes, **settings: Any) -> tuple[dict[str, Any], int]:
    """What readers are told of a task whose model repeats one step for ever, in each attempt, and
    the number of the last one."""
    upstream.then(*(Script(itertools.cycle([step, 0.02])) for _ in range(3)))
    chosen = settings_for(openai_base_url=upstream.url, qstash_retries=2, **settings)
    with running_service(chosen) as service:
        task = service.client.start()
        service.client.wait_for(task, "failed")
        *_, failed, error = service.client.events(task).events
        return error.data, failed.data["attempt"]


@pytest.mark.soak
@pytest.mark.parametrize(
    "step",
    [b": ping\n\n", b"\n", event({"choices": [{"delta": {"content": ""}}]})],
    ids=["comments", "bytes", "empty deltas"],
)
def test_signs_of_life_that_are_no_piece_lose_the_attempt(upstream: Upstream, step: bytes) -> None:
    error, attempts = _failure(upstream, step, model_read_timeout=0.3, qstash_retry_delay="0")
    assert (error["code"], error["retryable"]) == ("model_timeout", True)
    assert attempts == 3


@pytest.mark.parametrize(
    "step",
    [
        piece("x"),
        event({"choices": [{"delta": {"reasoning_content": "hm"}}]}),
        event({"choices": [{"delta": {"tool_calls": [{"index": 0}]}}]}),
    ],
    ids=["text", "reasoning", "tool calls"],
)
def test_pieces_without_end_fail_the_task_at_once(upstream: Upstream, step: bytes) -> None:
    error, attempts = _failure(upstream, step, attempt_timeout=0.5)
    assert (error["code"], error["retryable"]) == ("attempt_timeout", False)
    assert error["data"] == "The model did not finish within 0.5 seconds."
    assert attempts == len(upstream.received) == 1
