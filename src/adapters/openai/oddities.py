"""Read a chunk that does not fit OpenAI's types, as far as it can be read. No I/O.

Some servers send content as a list of parts, half of a surrogate pair, NaN in a field of no use, or
a whole answer with `message` in place of `delta`. None of this may cost an answer.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adapters.openai.reports import is_report

_WORK = ("tool_calls", "reasoning_content", "reasoning", "reasoning_details")


@dataclass(slots=True)
class Oddity:
    """What could be read of a chunk."""

    text: str = ""
    works: bool = False
    reason: str | None = None
    model: str | None = None
    usage: Any = None
    choices: int = 0
    """How many choices it has."""
    error: Any = None
    """The error that it reports, as it is."""


def read_odd(payload: bytes) -> Oddity | None:
    """Return what a chunk holds, or None for one that holds nothing: JSON's null, a number, a text.
    Raises ValueError if it is not JSON."""
    data = json.loads(payload.decode())
    if isinstance(data, list):
        reports = any(isinstance(each, dict) and _reports(each) for each in data)
        return Oddity(error=data) if reports else None
    if not isinstance(data, dict):
        return None
    choices, model = data.get("choices"), data.get("model")
    if _reports(data):
        return Oddity(error=data)
    odd = Oddity(model=model if isinstance(model, str) else None, usage=data.get("usage"))
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, dict):
            odd.choices += 1
            _read_choice(choice, odd)
    return odd


def _reports(data: dict[str, Any]) -> bool:
    return bool(data.get("error")) or (data.get("choices") is None and is_report(data))


def joined_surrogates(text: str) -> str:
    """Return the text as valid Unicode: halves that belong together are joined, and a lone one is
    replaced by U+FFFD."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _read_choice(choice: Mapping[str, Any], odd: Oddity) -> None:
    said = choice.get("delta") or choice.get("message")
    if isinstance(said, Mapping):
        content = said.get("content")
        odd.text += _text(content) or _text(said.get("refusal"))
        odd.works = odd.works or bool(content) or any(said.get(name) for name in _WORK)
    reason = choice.get("finish_reason")
    if isinstance(reason, str) and reason:
        odd.reason = reason


def _text(content: object) -> str:
    """Return the text of a content: a text, or a list of parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, Mapping):
        content = [content]
    if not isinstance(content, list):
        return ""
    texts = [each.get("text") if isinstance(each, Mapping) else each for each in content]
    return "".join(each for each in texts if isinstance(each, str))
