"""openai-python reads responses of every kind, hangs up behind every single event and resumes: it
sees every event once, and the same response in the end."""

from collections.abc import Iterator
from typing import Any

import pytest
from openai import OpenAI
from pydantic import BaseModel

from domain.events import ReasoningAdded, fold
from tests.doubles.upstream import DONE, USAGE, Gate, Script, Upstream, finish, piece, reasoning
from tests.end_to_end.openai_client import openai_client
from tests.official.logs import KINDS, PLACES, log_of, put
from tests.official.reading import (
    LAST,
    by_helper,
    final_of,
    read,
    read_in_every_way,
    read_next,
)
from tests.running import Running

REASONED = [kind for kind, steps in KINDS.items() if ReasoningAdded in map(type, steps)]
STATUSES = {"length": "incomplete", "content_filter": "incomplete"} | {
    "cancelled": "cancelled",
    "failed": "failed",
    "refused": "failed",
}
RESPONSES = {"api": "responses", "background": True}
SUMMARY = {**RESPONSES, "summary": "auto"}


class Place(BaseModel):
    city: str


@pytest.fixture(scope="module")
def client(shared_service: Running) -> Iterator[OpenAI]:
    with openai_client(shared_service) as client:
        yield client


def said(final: dict[str, Any]) -> dict[str, str]:
    """All text of a response, by its kind."""
    found = {"text": "", "refusal": "", "reasoning": "", "calls": ""}
    for item in final["output"]:
        for part in (*(item.get("content") or ()), *(item.get("summary") or ())):
            kind = "reasoning" if item["type"] == "reasoning" else "text"
            found["refusal" if "refusal" in part else kind] += part.get("refusal") or part["text"]
        found["calls"] += f"{item['call_id']}{item['arguments']}" if "call_id" in item else ""
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_response_is_read_whole_in_every_way(
    shared_service: Running, client: OpenAI, kind: str
) -> None:
    steps = KINDS[kind]
    task_id = put(shared_service, steps, echo=RESPONSES)
    final = read_in_every_way(client, f"resp_{task_id}", every_resume=False)
    assert final["status"] == STATUSES.get(str(steps[-1]), "completed")
    answer, told = fold(log_of(steps)).answer, said(final)
    assert told["text"] + told["refusal"] == answer.text
    assert (told["refusal"], told["reasoning"]) == (answer.refusal, answer.reasoning)
    if final["status"] == "completed":
        whole = [f"{call.id}{call.arguments or '{}'}" for call in answer.tool_calls]
        assert told["calls"] == "".join(whole)


@pytest.mark.parametrize("kind", REASONED)
def test_reasoning_is_told_as_a_summary_where_that_is_asked_for(
    shared_service: Running, client: OpenAI, kind: str
) -> None:
    task_id = put(shared_service, KINDS[kind], echo=SUMMARY)
    final = read_in_every_way(client, f"resp_{task_id}", every_resume=False)
    assert said(final)["reasoning"] == fold(log_of(KINDS[kind])).answer.reasoning
    assert all(
        each.get("content") is None for each in final["output"] if each["type"] == "reasoning"
    )


@pytest.mark.soak
@pytest.mark.parametrize("kind", KINDS)
def test_a_resume_behind_any_event_tells_the_rest(
    shared_service: Running, client: OpenAI, kind: str
) -> None:
    task_id = put(shared_service, KINDS[kind], echo=SUMMARY)
    read_in_every_way(client, f"resp_{task_id}", every_resume=True)


@pytest.mark.parametrize("kind", PLACES)
def test_a_structured_answer_is_parsed_and_a_lost_half_of_one_does_not_raise(
    shared_service: Running, client: OpenAI, kind: str
) -> None:
    task_id = put(shared_service, PLACES[kind], echo=RESPONSES)
    events, final = by_helper(client, f"resp_{task_id}", text_format=Place)
    whole = read(client, f"resp_{task_id}")
    assert [each.sequence_number for each in events] == [each["sequence_number"] for each in whole]
    if whole[-1]["response"]["status"] == "completed":
        answer = fold(log_of(PLACES[kind])).answer
        place = Place(city="Oslo") if answer.text and not answer.refusal else None
        assert final.output_parsed == place
    else:
        assert final is None


def test_a_response_that_is_being_made_is_followed_over_many_connections(
    retrying: Running, scripted: Upstream
) -> None:
    """Each piece comes once the client, which has hung up behind the one before, is there again."""
    gates = [Gate() for _ in range(4)]
    scripted.then(
        Script([reasoning("Hm."), gates[0], piece("Half"), gates[1]], cut=True),
        Script([piece("Hel"), gates[2], piece("lo."), gates[3], finish(), USAGE, DONE]),
    )
    with openai_client(retrying) as client:
        response = client.responses.create(model="m", input="Hi.", background=True)
        seen = read(client, response.id, count=1)
        for gate, until in zip(gates, ("Hm.", "Half", "Hel", "lo."), strict=True):
            while seen[-1].get("delta") != until:
                seen.append(read_next(client, response.id, seen[-1]))
            behind = seen[-1]["sequence_number"]
            with client.responses.retrieve(
                response.id, stream=True, starting_after=behind
            ) as stream:
                gate.open()
                seen.append(next(stream).to_dict())
        while seen[-1]["type"] not in LAST:
            seen.append(read_next(client, response.id, seen[-1]))
        assert seen == read(client, response.id)
        assert final_of(seen) == client.responses.retrieve(response.id).to_dict()
        assert final_of(seen)["output"][0]["content"][0]["text"] == "Hello."
