"""What of an answer this face tells, the same for responses and for chat completions."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from domain.answer import JsonObject, ToolCall
from domain.events import TaskEnded, TaskErrored

CUT = {
    "length": "max_output_tokens",
    "max_tokens": "max_output_tokens",
    "model_length": "max_output_tokens",
    "content_filter": "content_filter",
}
"""By the reason why a model stopped, if its answer is not whole: how OpenAI says it."""


def is_cut(end: TaskEnded | TaskErrored | None) -> bool:
    return isinstance(end, TaskEnded) and end.finish_reason.lower() in CUT


def told_calls(end: TaskEnded) -> Sequence[ToolCall]:
    """Return the calls of tools that clients may run: of an answer that was cut off, those that are
    whole. Their arguments are never empty, which would make the helpers of OpenAI's SDKs raise."""
    return [
        call if call.arguments else replace(call, arguments="{}")
        for call in end.answer.tool_calls
        if not is_cut(end) or _is_whole(call)
    ]


def _is_whole(call: ToolCall) -> bool:
    try:
        json.loads(call.arguments or "{}")
    except (ValueError, RecursionError):
        return False
    return True


def url_citation(told: JsonObject) -> dict[str, Any] | None:
    """Return a citation of chat completions in the form of responses. None for any other kind:
    clients refuse what they do not know. The native face tells those as they are."""
    inner = told.get("url_citation")
    given = inner if isinstance(inner, dict) else told
    if told.get("type") != "url_citation" or not isinstance(given.get("url"), str):
        return None
    begin, end = given.get("start_index"), given.get("end_index")
    title = given.get("title")
    return {
        "type": "url_citation",
        "url": given["url"],
        "title": title if isinstance(title, str) else "",
        "start_index": begin if type(begin) is int else 0,
        "end_index": end if type(end) is int else 0,
    }
