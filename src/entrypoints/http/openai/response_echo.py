"""Stub, replaced by helper "requests"."""

from typing import Any

from domain.request import TaskRequest


def echo_of(request: TaskRequest) -> dict[str, Any]:
    return {
        "instructions": request.system,
        "model": request.model,
        "max_output_tokens": request.max_tokens,
        "background": bool(request.echo.get("background")),
        "metadata": dict(request.metadata),
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": request.echo.get("summary")},
        "store": True,
        "temperature": request.temperature,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": None,
        "truncation": "disabled",
        "user": None,
    }
