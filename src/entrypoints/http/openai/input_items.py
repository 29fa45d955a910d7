"""The input of a response as its items, told page by page."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from domain.messages import Message, objects_in
from domain.request import TaskRequest
from entrypoints.http.openai.content_parts import (
    input_content,
    output_content,
    refusal_part,
    tool_output,
)
from entrypoints.http.problems import FieldFault, invalid

LIMIT = 100
"""Items of a page."""
USUAL_LIMIT = 20
ORDERS = ("asc", "desc")

Item = dict[str, Any]

_PREFIXES = {"message": "msg", "function_call": "fc", "custom_tool_call": "ctc"}
_CARRIED = ("role", "content", "refusal", "tool_calls", "function_call", "tool_call_id")
_OWN = ("id", "type", "status", "call_id", "output")
"""What an item has itself."""


def input_items_of(task_id: str, request: TaskRequest) -> list[Item]:
    """Return the items of what the request itself gave, in its order: not of the conversation that
    it continues."""
    items = [item for message in request.given() for item in _items(message)]
    return [
        {"id": f"{_PREFIXES.get(item['type'], 'fco')}_in_{task_id}_{index}", **item}
        for index, item in enumerate(items)
    ]


def page_of(
    items: Sequence[Item],
    limit: str | None = None,
    order: str | None = None,
    after: str | None = None,
) -> dict[str, Any]:
    """Return a page of a list, as the parameters of a query ask for it. Raises a problem (400)."""
    faults: list[FieldFault] = []
    size = USUAL_LIMIT if limit is None else _whole(limit)
    if not 1 <= size <= LIMIT:
        faults.append({"field": "limit", "message": f"must be a whole number from 1 to {LIMIT}"})
    if order not in (None, *ORDERS):
        faults.append({"field": "order", "message": 'must be "asc" or "desc"'})
    ids = [item["id"] for item in items]
    if after is not None and after not in ids:
        faults.append({"field": "after", "message": "must be the id of an item of this list"})
    if faults:
        raise invalid(faults)
    ordered = items if order == "asc" else items[::-1]
    begin = 0 if after is None else [item["id"] for item in ordered].index(after) + 1
    page = list(ordered[begin : begin + size])
    return {
        "object": "list",
        "data": page,
        "first_id": page[0]["id"] if page else "",
        "last_id": page[-1]["id"] if page else "",
        "has_more": begin + size < len(items),
    }


def _items(message: Message) -> Iterator[Item]:
    role, content = message.get("role"), message.get("content")
    rest = {name: value for name, value in message.items() if name not in (*_CARRIED, *_OWN)}
    match role:
        case "assistant":
            yield from _assistant_items(message, rest)
        case "tool":
            yield _result(message.get("tool_call_id"), content, rest)
        case "function":  # what tools were called before
            yield _result(message.get("name"), content, rest)
        case _:
            item = {"type": "message", "role": role, "status": "completed"}
            yield {**item, "content": input_content(content), **rest}


def _assistant_items(message: Message, rest: Mapping[str, Any]) -> Iterator[Item]:
    content = output_content(message.get("content"))
    if isinstance(refusal := message.get("refusal"), str):
        content.append(refusal_part(refusal))
    calls = objects_in(message.get("tool_calls"))
    if isinstance(function := message.get("function_call"), dict):
        calls.append({"id": function.get("name"), "function": function})
    if content or rest or not calls:
        item = {"type": "message", "role": "assistant", "status": "completed"}
        yield {**item, "content": content, **rest}
    yield from map(_call, calls)


def _call(call: Mapping[str, Any]) -> Item:
    rest = {
        name: value
        for name, value in call.items()
        if name not in (*_OWN, "index", "function", "custom")
    }
    known: Item = {"call_id": call.get("id"), "status": "completed"}
    if isinstance(custom := call.get("custom"), dict):
        return {**rest, "type": "custom_tool_call", **known, **_texts(custom, "name", "input")}
    function = call.get("function")
    inner = function if isinstance(function, dict) else {}
    return {**rest, "type": "function_call", **known, **_texts(inner, "name", "arguments")}


def _result(call_id: object, content: object, rest: Mapping[str, Any]) -> Item:
    item = {"type": "function_call_output", "call_id": call_id, "status": "completed"}
    return {**item, "output": tool_output(content), **rest}


def _texts(holder: Mapping[str, Any], *names: str) -> Item:
    given = {name: holder.get(name) for name in names}
    return {name: value if isinstance(value, str) else "" for name, value in given.items()}


def _whole(text: str) -> int:
    """A number from a query, or 0 for what is none."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0
