"""What a response says of its request: of any task, whichever API it was started with.

A value that OpenAI's clients would not read is left out: the native API and chat completions pass
on what they are given.
"""

from collections.abc import Collection
from typing import Any

from domain.request import TaskRequest
from entrypoints.http.openai.ids import response_id
from entrypoints.http.openai.tools import flat_choice, flat_format, flat_tools, of_type

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
VERBOSITIES = ("low", "medium", "high")
SERVICE_TIERS = ("auto", "default", "flex", "scale", "priority", "fast", "ultrafast")
RETENTIONS = ("in_memory", "24h")


def echo_of(request: TaskRequest) -> dict[str, Any]:
    """Return the fields of a response that come from its request."""
    echo, options, previous = request.echo, request.options, request.previous_task_id
    effort = _one_of(options.get("reasoning_effort"), EFFORTS)
    parallel = options.get("parallel_tool_calls")
    return {
        # The other APIs wait for no answer.
        "background": echo.get("background", "api" not in echo),
        "instructions": request.system,
        "max_output_tokens": request.max_tokens,
        "max_tool_calls": _whole(options.get("max_tool_calls")),
        "metadata": dict(request.metadata),
        "model": request.model,
        "parallel_tool_calls": echo.get("parallel_tool_calls", parallel is not False),
        "previous_response_id": None if previous is None else response_id(previous),
        "prompt_cache_key": of_type(options.get("prompt_cache_key"), str),
        "prompt_cache_retention": _one_of(options.get("prompt_cache_retention"), RETENTIONS),
        "reasoning": {"effort": effort, "summary": echo.get("summary")},
        "safety_identifier": of_type(options.get("safety_identifier"), str),
        "service_tier": _one_of(options.get("service_tier"), SERVICE_TIERS),
        "store": echo.get("store", True),
        "temperature": request.temperature,
        "text": _text_config(request),
        "tool_choice": echo.get("tool_choice") or flat_choice(options.get("tool_choice")),
        "tools": flat_tools(options.get("tools")),
        "top_logprobs": 0,
        "top_p": _number(options.get("top_p")),
        "truncation": "disabled",
        "user": of_type(options.get("user"), str),
    }


def _text_config(request: TaskRequest) -> dict[str, Any]:
    config = {"format": flat_format(request.options.get("response_format"))}
    verbosity = _one_of(request.options.get("verbosity"), VERBOSITIES)
    return config if verbosity is None else {**config, "verbosity": verbosity}


def _one_of(value: object, choices: Collection[str]) -> str | None:
    return value if isinstance(value, str) and value in choices else None


def _whole(value: object) -> int | None:
    return value if type(value) is int else None


def _number(value: object) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
