"""Read a response as a whole: how it ended, and what it has beyond a part of it. No I/O."""

import json
import re
from collections.abc import Mapping
from typing import Any

from adapters.json_values import has_few_values
from adapters.openai.chunks import WORDS_LIMIT
from adapters.openai.errors import classify_reported, unreadable
from adapters.openai.oddities import decode_leniently
from adapters.openai.pieces import REASONING, REFUSAL, TEXT, Pieces, joined_surrogates
from adapters.openai.usage import read_usage
from application.errors import ModelRefused
from application.ports import Finished
from domain.answer import Answer, JsonObject, Piece, is_deep
from domain.messages import objects_in

RUNNING = ("queued", "in_progress")
"""The statuses of a response that has not ended."""
CALLS = {"function_call": "arguments", "custom_tool_call": "input"}
"""The types of calls that the client carries out, and the field of what they are called with."""
PARAGRAPH = "\n\n"
"""What stands between two parts of a summary, which are paragraphs."""

_CUT = {"max_output_tokens": "length"}
"""Why an answer is incomplete: OpenAI's words, and those of chat completions."""
_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.~:-]{0,199}")


def decode(payload: bytes) -> JsonObject:
    """Decode an object, as far as it can be read. Raises ModelUnavailable."""
    try:
        value = decode_leniently(payload.decode()) if has_few_values(payload) else None
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise unreadable()
    return value


def id_of(response: Mapping[str, Any]) -> str:
    """Return the id of a response. Raises ModelUnavailable if none can stand in a URL."""
    told = response.get("id")
    if not isinstance(told, str) or not _ID.fullmatch(told):
        raise unreadable()
    return told


def end_of(response: Mapping[str, Any], model: str, api_key: str, *, calls: bool) -> Finished:
    """Return how a response ended. `model`: the one that was asked. `calls`: whether calls of tools
    are known beside those in it. Raises ModelRefused or ModelUnavailable if it failed or was
    cancelled, both with `answer_ended`."""
    status = response.get("status")
    if status == "cancelled":
        words = "The answer was cancelled at the model's server."
        raise ModelRefused("answer_cancelled", words, answer_ended=True)
    if status not in ("completed", "incomplete"):
        reported = response.get("error")
        failed = classify_reported(reported or {"type": "server_error"}, api_key)
        failed.answer_ended = True
        raise failed
    kinds = {text_of(each, "type") for each in objects_in(response.get("output"))}
    reason = "tool_calls" if calls or kinds & CALLS.keys() else "stop"
    if status == "incomplete":
        details = response.get("incomplete_details")
        why = details.get("reason") if isinstance(details, Mapping) else None
        reason = _CUT.get(why, why) if isinstance(why, str) and why else "incomplete"
    name = text_of(response, "model") or model
    usage = read_usage(response.get("usage"))
    return Finished(joined_surrogates(reason)[:WORDS_LIMIT], name[:WORDS_LIMIT], usage)


def beyond(response: Mapping[str, Any], said: Answer) -> tuple[Piece, ...] | None:
    """Return what the answer of a response has beyond the part that was said. None: that is no
    part of it. Raises ModelUnavailable."""
    reader = _Reader(said)
    for index, item in enumerate(objects_in(response.get("output"))):
        reader.read(index, item)
    return reader.rest()


def valid_object(value: object) -> JsonObject | None:
    """Return an object as it is, as valid Unicode, or None for one that is too deep."""
    if not isinstance(value, dict) or is_deep(value):
        return None
    valid: JsonObject = json.loads(joined_surrogates(json.dumps(value, ensure_ascii=False)))
    return valid


def text_of(holder: Mapping[str, Any], name: str) -> str:
    """Return a text of an object as valid Unicode: empty where it has none."""
    value = holder.get(name)
    return joined_surrogates(value) if isinstance(value, str) else ""


class _Reader:
    """Passes over what was said, and keeps the rest as pieces."""

    def __init__(self, said: Answer) -> None:
        self._left: dict[str, str] = {TEXT: said.text, REASONING: said.reasoning}
        self._noted = len(said.annotations)
        self._calls = {call.id: call for call in said.tool_calls}
        self._next = max((call.index + 1 for call in said.tool_calls), default=0)
        self._items = list(reversed(said.items))
        self._reasoned = False
        self._differs = False
        self._pieces = Pieces()

    def rest(self) -> tuple[Piece, ...] | None:
        if (
            self._differs
            or any(self._left.values())
            or self._noted > 0
            or self._calls
            or self._items
        ):
            return None
        self._pieces.end()
        return self._pieces.take()

    def read(self, index: int, item: Mapping[str, Any]) -> None:
        kind = text_of(item, "type")
        if kind == "message":
            for part in objects_in(item.get("content")):
                self._read_part(part)
        elif kind == "reasoning":
            for part in objects_in(item.get("summary")):
                self._reason((PARAGRAPH if self._reasoned else "") + text_of(part, "text"))
            for part in objects_in(item.get("content")):
                self._reason(text_of(part, "text"))
        elif kind in CALLS:
            self._read_call(index, item, text_of(item, CALLS[kind]))
        elif kind and (valid := valid_object(item)) is not None:
            if not self._items:
                self._pieces.add_item(valid)
            elif self._items.pop().get("id") != valid.get("id"):
                self._differs = True

    def _reason(self, text: str) -> None:
        self._reasoned = self._reasoned or bool(text)
        self._say(REASONING, text)

    def _read_part(self, part: Mapping[str, Any]) -> None:
        self._say(TEXT, text_of(part, "text"))
        self._say(REFUSAL, text_of(part, "refusal"))
        for each in objects_in(part.get("annotations")):
            if (annotation := valid_object(each)) is None:
                continue
            self._noted -= 1
            if self._noted < 0:
                self._pieces.annotate([annotation])

    def _say(self, kind: str, text: str) -> None:
        place = REASONING if kind == REASONING else TEXT  # the text includes refusals
        left = self._left[place]
        size = min(len(left), len(text))
        self._differs = self._differs or left[:size] != text[:size]
        self._left[place] = left[size:]
        self._pieces.say_odd(kind, text[size:])

    def _read_call(self, index: int, item: Mapping[str, Any], arguments: str) -> None:
        call_id = text_of(item, "call_id")
        if (said := self._calls.pop(call_id, None)) is None:
            ours = max(index, self._next)
            self._next = ours + 1
            self._pieces.begin_call(ours, call_id)
            if name := text_of(item, "name"):
                self._pieces.name_call(ours, name)
            self._pieces.say_odd(ours, arguments)
            return
        self._differs = self._differs or not arguments.startswith(said.arguments)
        self._pieces.say_odd(said.index, arguments[len(said.arguments) :])
