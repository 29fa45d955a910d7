"""Read a chunk that does not fit OpenAI's usual types, as far as it can be read. No I/O.

Servers give the reasoning many names, send content as a list of parts, half of a surrogate pair,
NaN in a field of no use, or a whole answer with `message` in place of `delta`. None of this may
cost an answer. What an event log cannot carry is named, so that it is not dropped in silence.
"""

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from adapters.openai.pieces import REASONING, REFUSAL, TEXT, Pieces, joined_surrogates
from adapters.openai.reports import is_report
from adapters.openai.tool_calls import ToolCalls
from domain.answer import is_deep

DIGITS_LIMIT = 300
"""Digits of a number. A longer one is read as null, and so is one that no float can hold."""
NAMES_LIMIT = 20
"""Names of what is left out that are kept of one chunk, and about how many of a model."""
ANNOTATIONS_LIMIT = 1_000
"""Annotations that are carried of one chunk."""

_REASONING = ("reasoning_content", "reasoning", "reasoning_details", "thinking_blocks", "thinking")
"""The names of reasoning: of DeepSeek, vLLM and Qwen; of OpenRouter, Ollama and Groq; of OpenRouter
with details; of LiteLLM. A server that uses two of them gives both the same text: the first that
holds text counts."""
_THOUGHT = ("text", "thinking", "summary", "content")
"""Where the text of a part of reasoning may be."""
_SECRETS = ("data", "signature", "encrypted_content")
"""Fields of a part of reasoning that only its server can read."""
_NOT_CARRIED = ("audio", "images")
_NOT_CARRIED_OF_CHUNK = ("citations", "search_results")
_WORD = re.compile(r"[a-z][a-z0-9_.]{0,39}")


@dataclass(slots=True)
class Oddity:
    """What could be read of a chunk."""

    said: list[Mapping[str, Any]] = field(default_factory=list)
    """The delta of its choice 0, or the message."""
    whole: bool = False
    """Whether it is a message."""
    reason: str | None = None
    model: str | None = None
    usage: Any = None
    choices: int = 0
    """How many choices it has that count."""
    error: Any = None
    """The error that it reports, as it is."""
    annotations: int = 0
    """How many are carried so far."""
    left_out: set[str] = field(default_factory=set)
    """Names of the fields that have a value and are not carried."""

    def leave_out(self, name: str) -> None:
        if len(self.left_out) < NAMES_LIMIT:
            self.left_out.add(name)


def read_odd(payload: bytes) -> Oddity | None:
    """Return what a chunk holds, or None for one that holds nothing: JSON's null, a number, a text.
    Raises ValueError if it is not JSON."""
    data = decode_leniently(payload.decode())
    if isinstance(data, list):
        reports = any(isinstance(each, dict) and _reports(each) for each in data)
        return Oddity(error=data) if reports else None
    if not isinstance(data, dict):
        return None
    choices, model = data.get("choices"), data.get("model")
    if _reports(data):
        return Oddity(error=data)
    name = joined_surrogates(model) if isinstance(model, str) else None
    odd = Oddity(model=name, usage=data.get("usage"))
    for position, choice in enumerate(choices if isinstance(choices, list) else ()):
        if isinstance(choice, dict):
            _read_choice(choice, position, odd)
    for field_ in _NOT_CARRIED_OF_CHUNK:
        if data.get(field_):
            odd.leave_out(field_)
    return odd


def _number(digits: str) -> int | float | None:
    """Return a number of JSON, or None for one that is of no use and takes long to write."""
    if len(digits) > DIGITS_LIMIT:
        return None
    number = float(digits) if digits.strip("-0123456789") else int(digits)
    return number if abs(number) < math.inf else None


decode_leniently = json.JSONDecoder(
    parse_constant=lambda _: None, parse_int=_number, parse_float=_number
).decode


def say_odd(odd: Oddity, pieces: Pieces, calls: ToolCalls) -> bool:
    """Add what was read of a chunk. Return whether it shows that the model works."""
    works = False
    for said in odd.said:
        _say_reasoning_and_content(said, pieces, odd)
        if isinstance(refusal := said.get("refusal"), str):
            pieces.say_odd(REFUSAL, refusal)
        if annotations := list(_annotations(said.get("annotations"), odd)):
            pieces.annotate(annotations)
        for position, call in enumerate(_objects(said.get("tool_calls"))):
            _say_call(call, position if odd.whole else None, calls, odd)
        if isinstance(legacy := said.get("function_call"), Mapping):
            calls.add_legacy(_string(legacy.get("name")), _arguments(legacy.get("arguments")))
        for name in _NOT_CARRIED:
            if said.get(name):
                odd.leave_out(name)
        working = ("content", "tool_calls", *_REASONING, *_NOT_CARRIED)
        works = works or any(said.get(name) for name in working)
    return works


def _reports(data: dict[str, Any]) -> bool:
    return bool(data.get("error")) or (data.get("choices") is None and is_report(data))


def _read_choice(choice: Mapping[str, Any], position: int, odd: Oddity) -> None:
    index = choice.get("index")
    if (index if type(index) is int else position) != 0:
        odd.leave_out("choices")  # a task has one answer
        return
    odd.choices += 1
    said = choice.get("delta") or choice.get("message")
    if isinstance(said, Mapping):
        odd.said.append(said)
        odd.whole = not choice.get("delta")
    reason = choice.get("finish_reason")
    if isinstance(reason, str) and reason:
        odd.reason = joined_surrogates(reason)
    logprobs = choice.get("logprobs")
    if any(logprobs.values()) if isinstance(logprobs, Mapping) else logprobs:
        odd.leave_out("logprobs")


def _say_reasoning_and_content(said: Mapping[str, Any], pieces: Pieces, odd: Oddity) -> None:
    reasoning = ""
    for name in _REASONING:
        value = said.get(name)
        reasoning = reasoning or "".join(_thoughts(value))
        for thought in _objects(value):
            for secret in _SECRETS:
                if thought.get(secret):
                    odd.leave_out(f"{name}[].{secret}")
    pieces.say_odd(REASONING, reasoning)
    content = said.get("content")
    for part in content if isinstance(content, list) else [content]:
        if isinstance(part, str):
            pieces.say_odd(TEXT, part)
        elif isinstance(part, Mapping):
            _say_part(part, pieces, odd, not reasoning)


def _say_part(part: Mapping[str, Any], pieces: Pieces, odd: Oddity, reasons: bool) -> None:
    """`reasons`: whether reasoning counts, since the delta has none under a name."""
    kind = part.get("type")
    if kind in ("thinking", "reasoning") or "thinking" in part:
        if reasons:
            pieces.say_odd(REASONING, "".join(_thoughts(part)))
    elif isinstance(part.get("refusal"), str):
        pieces.say_odd(REFUSAL, part["refusal"])
    elif isinstance(part.get("text"), str):
        pieces.say_odd(TEXT, part["text"])
        if annotations := list(_annotations(part.get("annotations"), odd)):
            pieces.annotate(annotations)
    else:
        known = isinstance(kind, str) and _WORD.fullmatch(kind)
        odd.leave_out(f"content[].{kind}" if known else "content[]")


def _thoughts(value: object, depth: int = 3) -> Iterator[str]:
    """Yield the texts of reasoning: of a text, of a part, or of a list of parts."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list) and depth:
        for each in value:
            yield from _thoughts(each, depth - 1)
    elif isinstance(value, Mapping) and depth:
        inner = next((value[name] for name in _THOUGHT if value.get(name)), None)
        yield from _thoughts(inner, depth - 1)


def _say_call(call: Mapping[str, Any], position: int | None, calls: ToolCalls, odd: Oddity) -> None:
    """`position`: of the call among those of a whole answer."""
    index, call_id = call.get("index"), call.get("id")
    named = (call.get(name) for name in ("function", "custom"))
    inner: Mapping[str, Any] = next((each for each in named if isinstance(each, Mapping)), {})
    arguments = inner.get("arguments") if "arguments" in inner else inner.get("input")
    calls.add(
        index if type(index) is int else position,
        str(call_id) if type(call_id) is int else _string(call_id),
        _string(inner.get("name")),
        _arguments(arguments),
        odd=True,
    )
    if call.get("extra_content"):
        odd.leave_out("tool_calls[].extra_content")


def _arguments(value: object) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value, ensure_ascii=False)


def _annotations(value: object, odd: Oddity) -> Iterator[dict[str, Any]]:
    """Yield annotations as they are, as valid Unicode."""
    for each in value if isinstance(value, list) else [value] if value else []:
        if odd.annotations == ANNOTATIONS_LIMIT:
            odd.leave_out("annotations")
            return
        if isinstance(each, dict) and not is_deep(each):
            odd.annotations += 1
            yield json.loads(joined_surrogates(json.dumps(each, ensure_ascii=False)))
        else:
            odd.leave_out("annotations")


def _objects(value: object) -> Iterable[Mapping[str, Any]]:
    """Return the objects of a list, or the one that stands in its place."""
    if isinstance(value, Mapping):
        return [value] if value else []
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []


def _string(value: object) -> str:
    return joined_surrogates(value) if isinstance(value, str) else ""
