"""The Response object: what a task is, as OpenAI's clients read it."""

from collections.abc import Mapping
from typing import Any

from domain.answer import CUT
from domain.events import TaskEnded, TaskErrored, TaskStatus, Usage
from entrypoints.http.answer_parts import is_cut
from entrypoints.http.openai.errors import error_object, task_error
from entrypoints.http.openai.output_items import OutputItems
from entrypoints.http.openai.response_state import ResponseState

Json = dict[str, Any]

_STATUSES = {
    TaskStatus.PENDING: "queued",
    TaskStatus.RUNNING: "in_progress",
    TaskStatus.COMPLETED: "completed",
    TaskStatus.FAILED: "failed",
    TaskStatus.CANCELLED: "cancelled",
}
_CODES = {
    "rate_limited": "rate_limit_exceeded",
    "context_length_exceeded": "invalid_prompt",
    "invalid_request": "invalid_prompt",
    "content_refused": "invalid_prompt",
}
LOST = error_object(
    "The worker was lost, and the answer begins anew: read this response again.",
    "server_error",
    "attempt_lost",
)
"""The error of a stream whose client cannot take text back."""


class ResponseObject:
    """Makes the Response of one task at any event of its log."""

    def __init__(self, opening: Mapping[str, Any], items: OutputItems) -> None:
        """`opening`: the fields that never change."""
        self._opening = opening
        self._items = items

    def at(self, fold: ResponseState, output: list[Json] | None = None) -> Json:
        """Return the Response. `output`: the items, if others than those of the attempt."""
        end = fold.end
        response = {
            **self._opening,
            "status": status_of(fold),
            "output": self._items.output(fold) if output is None else output,
            "error": None,
            "incomplete_details": None,
            "completed_at": None,
            "usage": None,
        }
        if isinstance(end, TaskErrored):
            response["error"] = error_of(end)
        elif isinstance(end, TaskEnded):
            response["model"] = end.model
            response["usage"] = usage_of(end.usage)
            if response["status"] == "incomplete":
                response["incomplete_details"] = {"reason": CUT[end.finish_reason.lower()]}
            if response["status"] == "completed":
                response["completed_at"] = end.at // 1000
        return response


def status_of(fold: ResponseState) -> str:
    if fold.status is TaskStatus.COMPLETED and is_cut(fold.end):
        return "incomplete"
    return _STATUSES[fold.status]


def error_of(end: TaskErrored) -> Json:
    """Return why a task failed, under OpenAI's own codes where they fit. What may not be repeated
    keeps its own code, since some clients repeat what has OpenAI's."""
    code = _CODES.get(end.code) or ("server_error" if end.retryable else end.code)
    return {**task_error(end), "code": code}


def usage_of(usage: Usage | None) -> Json | None:
    if usage is None:
        return None
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {
            "cached_tokens": usage.cached_tokens or 0,
            "cache_write_tokens": 0,
        },
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens or 0},
        "total_tokens": usage.total_tokens,
    }
