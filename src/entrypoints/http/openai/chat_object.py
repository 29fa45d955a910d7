"""The chat.completion object: what a task that has ended is, as OpenAI's clients read it."""

from collections.abc import AsyncIterable, Mapping
from typing import Any

from application.ports import Batch
from domain.answer import CUT, Answer
from domain.events import (
    ContentAdded,
    StatusChanged,
    TaskEnded,
    TaskErrored,
    TaskStatus,
    Usage,
    begins_anew,
)
from domain.messages import tool_call, usable_calls
from domain.task import Task
from entrypoints.http.answer_parts import url_citation
from entrypoints.http.openai.errors import error_object
from entrypoints.http.openai.ids import chat_id
from entrypoints.http.problems import problem

Json = dict[str, Any]

CANCELLED = error_object("The task was cancelled.", "invalid_request_error", "cancelled")


async def chat_completion(
    task: Task, log: AsyncIterable[Batch], headers: Mapping[str, str]
) -> Json:
    """Return the completion of a task whose log has ended. Raises a problem with these headers for
    one that failed or was cancelled."""
    content: list[str] = []
    cancelled = False
    end: TaskEnded | TaskErrored | None = None
    async for batch in log:
        for event in batch.events:
            match event:
                case ContentAdded() if not event.refusal:
                    content.append(event.text)
                case StatusChanged():
                    cancelled = event.status is TaskStatus.CANCELLED
                    if begins_anew(event):
                        content.clear()
                case TaskEnded() | TaskErrored():
                    end = event
    if isinstance(end, TaskErrored):
        status, kind = 500 if end.retryable else 400, end.code.replace("_", "-")
        raise problem(status, kind, end.message, headers=dict(headers))
    if cancelled or end is None:
        raise problem(400, "cancelled", CANCELLED["message"], headers=dict(headers))
    choice = {
        "index": 0,
        "message": _message("".join(content), end),
        "logprobs": None,
        "finish_reason": chat_finish_reason(end),
    }
    return {
        "id": chat_id(task.id),
        "object": "chat.completion",
        "created": task.created_at // 1000,
        "model": end.model,
        "choices": [choice],
        "usage": chat_usage(end.usage),
    }


def _message(content: str, end: TaskEnded) -> Json:
    answer, calls = end.answer, chat_calls(end)
    message: Json = {
        "role": "assistant",
        "content": content if content or not (answer.refusal or calls) else None,
        "refusal": answer.refusal or None,
        "annotations": chat_citations(answer),
    }
    if answer.items:
        message["items"] = list(answer.items)
    if answer.reasoning:
        message["reasoning_content"] = answer.reasoning
    if calls:
        message["tool_calls"] = calls
    return message


def chat_calls(end: TaskEnded) -> list[Json]:
    calls = usable_calls(end.answer, end.finish_reason)
    return [tool_call(call.id, call.name, call.arguments) for call in calls]


def chat_citations(answer: Answer) -> list[Json]:
    citations = filter(None, map(url_citation, answer.annotations))
    return [{"type": each.pop("type"), "url_citation": each} for each in citations]


def chat_finish_reason(end: TaskEnded) -> str:
    """Return why the model stopped, in OpenAI's words. A client looks at it to see whether there
    are calls to run, so that they count more than what the model said."""
    reason = end.finish_reason.lower()
    if reason in CUT:
        return reason if reason == "content_filter" else "length"
    return "tool_calls" if usable_calls(end.answer, reason) else "stop"


def chat_usage(usage: Usage | None) -> Json | None:
    if usage is None:
        return None
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens or 0},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens or 0},
    }
