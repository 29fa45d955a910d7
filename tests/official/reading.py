"""What openai-python makes of a response that has ended, in every way in which it can be read:
whole, cut and resumed behind every event, and by the helper. Old versions of it run this too."""

from collections.abc import Mapping
from typing import Any, cast

from openai import OpenAI

Json = dict[str, Any]

LAST = ("response.completed", "response.incomplete", "response.failed")
JOINED = {
    "response.output_text.delta": ("content", "content_index"),
    "response.refusal.delta": ("content", "content_index"),
    "response.reasoning_text.delta": ("content", "content_index"),
    "response.reasoning_summary_text.delta": ("summary", "summary_index"),
    "response.function_call_arguments.delta": ("arguments", ""),
    "response.mcp_call_arguments.delta": ("arguments", ""),
    "response.code_interpreter_call_code.delta": ("code", ""),
}
"""Where the pieces of a text belong in their item: the list, and what numbers its parts."""


def read(client: OpenAI, response_id: str, after: int | None = None, count: int = 0) -> list[Json]:
    """The events behind a number; the first `count` of them, and then the client hangs up."""
    behind: Json = {} if after is None else {"starting_after": after}
    events: list[Json] = []
    stream = cast(Any, client.responses).retrieve(response_id, stream=True, **behind)
    with stream:
        for event in stream:
            events.append(event.to_dict())
            if len(events) == count:
                break
    return events


def read_next(client: OpenAI, response_id: str, behind: Json) -> Json:
    """The event behind another one, over a connection of its own."""
    (event,) = read(client, response_id, behind["sequence_number"], count=1)
    assert event["sequence_number"] > behind["sequence_number"]
    return event


def read_in_parts(client: OpenAI, response_id: str) -> list[Json]:
    """The events, each over a connection of its own."""
    events = read(client, response_id, count=1)
    while events[-1]["type"] not in LAST:
        events.append(read_next(client, response_id, events[-1]))
    return events


def final_of(events: list[Json]) -> Json:
    """The response that the last event tells. Fails if the pieces before it do not add up to it."""
    assert [each["type"] for each in events[:2]] == ["response.created", "response.queued"]
    assert [each["type"] for each in events if each["type"] in LAST] == [events[-1]["type"]]
    numbers = [each["sequence_number"] for each in events]
    assert numbers == sorted(set(numbers))
    final: Json = events[-1]["response"]
    done = [each["item"] for each in events if each["type"] == "response.output_item.done"]
    added = [each for each in events if each["type"] == "response.output_item.added"]
    assert [each["output_index"] for each in added] == list(range(len(added)))
    by_id = {each["id"]: each for each in done}
    assert len(by_id) == len(done) == len(added)
    for each in final["output"]:
        assert by_id[each["id"]] == each
    for each in added:
        _add_up(events, each["output_index"], by_id[each["item"]["id"]])
    return final


def _add_up(events: list[Json], index: int, item: Json) -> None:
    pieces: dict[tuple[str, int], str] = {}
    for each in events:
        if each.get("output_index") == index and each["type"] in JOINED:
            assert each["item_id"] == item["id"]
            parts, number = JOINED[each["type"]]
            place = parts, each.get(number, 0)
            pieces[place] = pieces.get(place, "") + each["delta"]
    texts = {(name, 0): item.get(name) for name in ("arguments", "code")}
    for parts in ("content", "summary"):
        for place_in, part in enumerate(item.get(parts) or ()):
            texts[parts, place_in] = part.get("text", part.get("refusal"))
    assert pieces == {place: said for place, said in texts.items() if said}


def by_helper(client: OpenAI, response_id: str, **options: Any) -> tuple[list[Any], Any]:
    """The events of `responses.stream`, and the response that it adds up: None where it says that
    there is none."""
    helper = cast(Any, client.responses).stream(response_id=response_id, **options)
    with helper as stream:
        events = list(stream)
        try:
            return events, stream.get_final_response()
        except RuntimeError:
            return events, None


def read_in_every_way(client: OpenAI, response_id: str, *, every_resume: bool) -> Json:
    """The final response. Fails unless all ways lead to it."""
    whole = read(client, response_id)
    final = final_of(whole)
    assert client.responses.retrieve(response_id).to_dict() == final
    assert read_in_parts(client, response_id) == whole
    events, added_up = by_helper(client, response_id)
    assert _numbers(events) == [each["sequence_number"] for each in whole]
    assert (added_up is None) == (final["status"] != "completed")
    if added_up is not None:
        assert _without_parsed(added_up.to_dict()) == final
    for place, event in enumerate(whole if every_resume else ()):
        behind = event["sequence_number"]
        assert read(client, response_id, behind) == whole[place + 1 :]
        events, _ = by_helper(client, response_id, starting_after=behind)
        assert _numbers(events) == [each["sequence_number"] for each in whole[place + 1 :]]
    return final


def _numbers(events: list[Any]) -> list[int]:
    """Of the helper's events: it makes some of its own, without a number."""
    return [each.sequence_number for each in events]


def _without_parsed(value: Any) -> Any:
    """What the helper parsed stands beside the text."""
    if isinstance(value, Mapping):
        return {k: _without_parsed(v) for k, v in value.items() if not k.startswith("parsed")}
    return [_without_parsed(each) for each in value] if isinstance(value, list) else value
