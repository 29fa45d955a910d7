"""openai-python runs the loop of a tool: the model calls it, the client answers, the model goes
on. The second request may bring the items, or references to them, or only the response's id."""

import json
from collections.abc import Iterator
from typing import Any, cast

import pytest
from openai import APIStatusError, BadRequestError, NotFoundError, OpenAI, pydantic_function_tool
from openai.types.responses import Response
from pydantic import BaseModel

from tests.doubles.upstream import (
    DONE,
    USAGE,
    Script,
    Upstream,
    answer,
    call,
    finish,
    piece,
    reasoning,
)
from tests.end_to_end.openai_client import openai_client
from tests.running import Running

LOOK_UP: Any = {
    "type": "function",
    "name": "look_up",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "strict": True,
}
CALLS = [
    reasoning("Two."),
    piece("Wait."),
    call(0, '{"city": ', "call_a", "look_up"),
    call(1, '{"city": ', "call_b", "look_up"),
    call(0, '"Oslo"}'),
    call(1, '"Rome"}'),
    finish("tool_calls"),
    USAGE,
    DONE,
]
ASKED = {"role": "user", "content": "How warm?"}


@pytest.fixture(scope="module")
def client(retrying: Running) -> Iterator[OpenAI]:
    with openai_client(retrying) as client:
        yield client


def outputs_of(response: Response) -> list[Any]:
    """What the client has found out, for each call."""
    assert response.status == "completed"
    calls = [each for each in response.output if each.type == "function_call"]
    assert [json.loads(each.arguments)["city"] for each in calls] == ["Oslo", "Rome"]
    return [
        {"type": "function_call_output", "call_id": each.call_id, "output": "7"} for each in calls
    ]


def called(content: str | None) -> list[dict[str, Any]]:
    """The messages that the model is sent for the calls and their results."""
    calls = [
        {
            "id": id_,
            "type": "function",
            "function": {"name": "look_up", "arguments": json.dumps({"city": city})},
        }
        for id_, city in (("call_a", "Oslo"), ("call_b", "Rome"))
    ]
    results = [{"role": "tool", "tool_call_id": each["id"], "content": "7"} for each in calls]
    return [{"role": "assistant", "content": content, "tool_calls": calls}, *results]


def asked(client: OpenAI, scripted: Upstream) -> Response:
    scripted.then(Script(CALLS), Script(answer("Seven.")))
    return client.responses.create(model="m", input=[cast(Any, ASKED)], tools=[LOOK_UP])


def sent(scripted: Upstream) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = scripted.received[-1].body["messages"]
    return messages


def test_the_items_are_sent_back(client: OpenAI, scripted: Upstream) -> None:
    first = asked(client, scripted)
    history = [ASKED, *[each.to_dict() for each in first.output], *outputs_of(first)]
    second = client.responses.create(model="m", input=cast(Any, history), tools=[LOOK_UP])
    assert second.output_text == "Seven."
    assert sent(scripted) == [ASKED, *called("Wait.")]
    assert scripted.received[-1].body["tools"][0]["function"]["strict"] is True


def test_the_objects_of_the_client_are_sent_back(client: OpenAI, scripted: Upstream) -> None:
    first = asked(client, scripted)
    history: list[Any] = [ASKED]
    history += first.output
    history += outputs_of(first)
    second = client.responses.create(model="m", input=history, tools=[LOOK_UP])
    assert second.output_text == "Seven."
    assert sent(scripted) == [ASKED, *called("Wait.")]


def test_only_the_results_are_sent(client: OpenAI, scripted: Upstream) -> None:
    first = asked(client, scripted)
    second = client.responses.create(
        model="m", input=outputs_of(first), previous_response_id=first.id, tools=[LOOK_UP]
    )
    assert second.output_text == "Seven."
    assert second.previous_response_id == first.id
    assert sent(scripted) == [ASKED, *called("Wait.")]


def test_references_stand_for_the_items(client: OpenAI, scripted: Upstream) -> None:
    first = asked(client, scripted)
    references = [{"type": "item_reference", "id": cast(Any, each).id} for each in first.output]
    history: Any = [ASKED, *references, *outputs_of(first)]
    second = client.responses.create(model="m", input=history, tools=[LOOK_UP])
    assert second.output_text == "Seven."
    assert sent(scripted) == [ASKED, *called("Wait.")]


def test_a_reference_to_what_was_lost_stands_for_nothing(
    client: OpenAI, scripted: Upstream
) -> None:
    scripted.then(
        Script([piece("Lost")], cut=True), Script(answer("Kept.")), Script(answer("Yes."))
    )
    with client.responses.create(model="m", input="Hi.", background=True, stream=True) as stream:
        ids = [
            cast(Any, each.item).id for each in stream if each.type == "response.output_item.done"
        ]
    assert len(ids) == 2
    references = [{"type": "item_reference", "id": each} for each in ids]
    again: Any = [*references, {"role": "user", "content": "Sure?"}]
    client.responses.create(model="m", input=again)
    assert sent(scripted) == [
        {"role": "assistant", "content": "Kept."},
        {"role": "user", "content": "Sure?"},
    ]


def test_a_reference_to_what_was_never_told_is_refused(client: OpenAI, scripted: Upstream) -> None:
    first = client.responses.create(model="m", input="Hi.")
    again: Any = [{"type": "item_reference", "id": f"msg_{first.id.removeprefix('resp_')}_7"}]
    with pytest.raises(NotFoundError):
        client.responses.create(model="m", input=again)


def test_references_stand_for_no_more_than_a_request_may_hold(
    client: OpenAI, scripted: Upstream
) -> None:
    scripted.then(Script(answer("x" * 1024 * 1024)))
    first = client.responses.create(model="m", input="Hi.")
    reference = {"type": "item_reference", "id": cast(Any, first.output[0]).id}
    with pytest.raises(APIStatusError) as raised:
        client.responses.create(model="m", input=cast(Any, [reference] * 9), background=True)
    assert (raised.value.status_code, raised.value.param) == (413, "input")


def test_an_unknown_response_cannot_be_continued(client: OpenAI) -> None:
    with pytest.raises((BadRequestError, NotFoundError)) as raised:
        client.responses.create(
            model="m", input="Go on.", previous_response_id="resp_task_1_unknown"
        )
    assert raised.value.param == "previous_response_id"


def test_instructions_are_not_inherited(client: OpenAI, scripted: Upstream) -> None:
    first = client.responses.create(model="m", input="Hi.", instructions="In rhymes.")
    client.responses.create(
        model="m", input="Again.", instructions="In prose.", previous_response_id=first.id
    )
    assert sent(scripted) == [
        {"role": "system", "content": "In prose."},
        {"role": "user", "content": "Hi."},
        {"role": "assistant", "content": "Hello, world."},
        {"role": "user", "content": "Again."},
    ]


class LookUp(BaseModel):
    city: str


def test_the_helper_parses_arguments_of_strict_tools(client: OpenAI, scripted: Upstream) -> None:
    """Those of a lost attempt are never told: half of a JSON could not be parsed."""
    lost = Script([call(0, '{"ci', "call_a", "LookUp")], cut=True)
    kept = [call(0, '{"city": "Oslo"}', "call_a", "LookUp"), finish("tool_calls"), USAGE, DONE]
    scripted.then(lost, Script(kept))
    nested = cast(Any, pydantic_function_tool(LookUp))["function"]
    tool: Any = {"type": "function", **nested}
    with client.responses.stream(model="m", input="How warm?", tools=[tool]) as stream:
        final = stream.get_final_response()
    assert cast(Any, final.output[-1]).parsed_arguments in (LookUp(city="Oslo"), {"city": "Oslo"})


def test_calls_without_an_id_of_the_models_have_one(client: OpenAI, scripted: Upstream) -> None:
    """Some servers give none, or the same for all; clients tell calls apart by it."""
    said = [
        call(0, '{"city": "Oslo"}', "", "look_up"),
        call(1, '{"city": "Rome"}', "", "look_up"),
        finish("tool_calls"),
        USAGE,
        DONE,
    ]
    scripted.then(Script(said), Script(answer("Seven.")))
    first = client.responses.create(model="m", input=[cast(Any, ASKED)], tools=[LOOK_UP])
    outputs = outputs_of(first)
    ids = [each["call_id"] for each in outputs]
    assert all(ids)
    assert len(set(ids)) == 2
    second = client.responses.create(
        model="m", input=outputs, previous_response_id=first.id, tools=[LOOK_UP]
    )
    assert second.output_text == "Seven."
    assert [each["tool_call_id"] for each in sent(scripted)[2:]] == ids
