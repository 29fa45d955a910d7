"""Read the numbers of tokens that a server reports. No I/O."""

from collections.abc import Mapping, Sequence
from typing import Any

from domain.events import Usage

COUNT_LIMIT = 10**9
"""The largest number of tokens that is believed: far more than any model reads or writes at once,
and little enough that a server that counts wrongly does not use up everybody's budget."""


def read_usage(reported: Any) -> Usage | None:
    """Return the counts. One that cannot be read follows from the two others.

    Returns None if more are missing, or all are 0, as servers that do not count send."""
    if not isinstance(reported, Mapping):
        return None
    prompt = _count(reported, "prompt_tokens", "input_tokens")
    completion = _count(reported, "completion_tokens", "output_tokens")
    total = _count(reported, "total_tokens")
    if prompt is not None and completion is not None:
        total = prompt + completion if total is None else total
    elif total is None:
        return None
    elif prompt is not None:
        completion = max(0, total - prompt)
    elif completion is not None:
        prompt = max(0, total - completion)
    if not total or prompt is None or completion is None:
        return None
    return Usage(prompt, completion, total, _reasoning(reported), _cached(reported))


def _reasoning(reported: Mapping[str, Any]) -> int | None:
    return _detail(
        reported, ("completion_tokens_details", "output_tokens_details"), "reasoning_tokens"
    )


def _cached(reported: Mapping[str, Any]) -> int | None:
    """In OpenAI's details, else as DeepSeek or Anthropic name them."""
    cached = _detail(reported, ("prompt_tokens_details", "input_tokens_details"), "cached_tokens")
    if cached is None:
        names = ("prompt_cache_hit_tokens", "cache_read_input_tokens", "cached_tokens")
        cached = _count(reported, *names)
    return cached


def _detail(reported: Mapping[str, Any], places: Sequence[str], name: str) -> int | None:
    details = (reported.get(place) for place in places)
    return next((_count(each, name) for each in details if isinstance(each, Mapping)), None)


def _count(reported: Mapping[str, Any], *names: str) -> int | None:
    """Return the first of these that is a whole number, also written as a float or a text."""
    return next((each for name in names if (each := _whole(reported.get(name))) is not None), None)


def _whole(value: object) -> int | None:
    if isinstance(value, str) and len(value) <= 16 and value.isascii() and value.isdigit():
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if type(value) is int and 0 <= value <= COUNT_LIMIT else None
