"""openai-python, unchanged, makes every call that it has for responses and models."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import pytest
from openai import AsyncOpenAI, BadRequestError, NotFoundError, OpenAI
from openai.types.responses import Response
from pydantic import BaseModel

from entrypoints.http.openai.response_request import UNSTORED_TTL
from tests.doubles.upstream import (
    DONE,
    USAGE,
    Gate,
    Script,
    Upstream,
    answer,
    call,
    delta,
    finish,
    piece,
    reasoning,
)
from tests.end_to_end.openai_client import openai_client
from tests.running import Running
from tests.waiting import eventually, within

UNDER_WAY = ("queued", "in_progress")


class Place(BaseModel):
    city: str


@pytest.fixture(scope="module")
def client(retrying: Running) -> Iterator[OpenAI]:
    with openai_client(retrying) as client:
        yield client


def ended(client: OpenAI, response: Response) -> Response:
    """Poll, as OpenAI's guide says."""

    def polled() -> Response | None:
        now = client.responses.retrieve(response.id)
        return None if now.status in UNDER_WAY else now

    return eventually(polled)


def test_create_waits_for_the_answer(client: OpenAI, scripted: Upstream) -> None:
    response = client.responses.create(model="m", input="Hi.", instructions="Be brief.")
    assert response.status == "completed"
    assert response.output_text == "Hello, world."
    assert response.usage is not None
    assert response.usage.total_tokens == 8
    assert (response.background, response.instructions) == (False, "Be brief.")
    assert scripted.received[0].body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi."},
    ]


def test_create_follows_the_answer(client: OpenAI, scripted: Upstream) -> None:
    with client.responses.create(model="m", input="Hi.", stream=True) as stream:
        events = list(stream)
    pieces = [each.delta for each in events if each.type == "response.output_text.delta"]
    assert "".join(pieces) == "Hello, world."
    last = events[-1]
    assert last.type == "response.completed"
    assert last.response.to_dict() == client.responses.retrieve(last.response.id).to_dict()


def test_create_in_the_background_is_polled(client: OpenAI, scripted: Upstream) -> None:
    gate = Gate()
    scripted.then(Script([piece("Hel"), gate, piece("lo."), finish(), USAGE, DONE]))
    begun = client.responses.create(model="m", input="Hi.", background=True)
    assert begun.status in UNDER_WAY
    assert begun.background is True

    def partly() -> Response | None:
        now = client.responses.retrieve(begun.id)
        return now if now.output_text == "Hel" else None

    now = eventually(partly)
    assert now.status == "in_progress"
    assert now.output[0].to_dict()["status"] == "in_progress"
    gate.open()
    assert ended(client, begun).output_text == "Hello."


def test_create_in_the_background_is_followed_and_taken_up_elsewhere(
    client: OpenAI, retrying: Running, scripted: Upstream
) -> None:
    gate = Gate()
    scripted.then(Script([piece("Hel"), gate, piece("lo."), finish(), USAGE, DONE]))
    seen = []
    with client.responses.create(model="m", input="Hi.", background=True, stream=True) as stream:
        for event in stream:
            seen.append(event)
            if event.type == "response.output_text.delta":
                break
    first = cast(Any, seen[0])
    gate.open()
    with openai_client(retrying) as another:
        behind = seen[-1].sequence_number
        with another.responses.retrieve(
            first.response.id, stream=True, starting_after=behind
        ) as stream:
            seen += list(stream)
    with client.responses.retrieve(first.response.id, stream=True) as stream:
        assert [each.to_dict() for each in stream] == [each.to_dict() for each in seen]
    assert cast(Any, seen[-1]).response.output_text == "Hello."


def test_cancel_is_idempotent(client: OpenAI, scripted: Upstream) -> None:
    scripted.then(Script([piece("Hel"), Gate()]))
    begun = client.responses.create(model="m", input="Hi.", background=True)
    eventually(lambda: client.responses.retrieve(begun.id).output_text == "Hel")
    cancelled = client.responses.cancel(begun.id)
    assert (cancelled.status, cancelled.output_text) == ("cancelled", "Hel")
    assert cancelled.error is None
    assert client.responses.cancel(begun.id).to_dict() == cancelled.to_dict()
    assert client.responses.retrieve(begun.id).to_dict() == cancelled.to_dict()
    assert scripted.received[0].gone.wait(within(10))


def test_cancel_leaves_an_answer_that_is_whole(client: OpenAI, scripted: Upstream) -> None:
    whole = client.responses.create(model="m", input="Hi.")
    assert client.responses.cancel(whole.id).to_dict() == whole.to_dict()


def test_who_waits_for_a_response_that_is_cancelled_is_told_so(
    client: OpenAI, retrying: Running, scripted: Upstream
) -> None:
    """What has been said until then is no answer."""
    scripted.then(Script([piece("Hel"), Gate()]))
    asked: Any = {
        "model": "m",
        "input": "Hi.",
        "extra_headers": {"Idempotency-Key": "cancelled while a client waits"},
    }
    with (
        openai_client(retrying) as another,
        client.responses.create(**asked, stream=True) as stream,
        ThreadPoolExecutor() as threads,
    ):
        begun = next(stream).response
        waiting = threads.submit(lambda: another.responses.create(**asked))
        metrics = retrying.client.http
        eventually(lambda: "longtask_open_streams 2.0" in metrics.get("/metrics").text)
        client.responses.cancel(begun.id)
        with pytest.raises(BadRequestError) as raised:
            waiting.result(within(20))
    assert raised.value.code == "cancelled"


def test_delete_forgets(client: OpenAI, scripted: Upstream) -> None:
    response = client.responses.create(model="m", input="Hi.")
    client.responses.delete(response.id)
    with pytest.raises(NotFoundError) as raised:
        client.responses.retrieve(response.id)
    assert response.id in raised.value.message
    with pytest.raises(NotFoundError):
        client.responses.delete(response.id)


def test_input_items_are_listed_page_by_page(client: OpenAI, scripted: Upstream) -> None:
    turns: Any = [{"role": "user", "content": f"Turn {number}."} for number in range(25)]
    response = client.responses.create(model="m", input=turns)
    listed = client.responses.input_items.list(response.id)
    assert len(listed.data) == 20
    texts = [cast(Any, each).content[0].text for each in listed]  # asks for the next page
    assert texts == [f"Turn {number}." for number in reversed(range(25))]
    ascending = client.responses.input_items.list(response.id, order="asc", limit=1)
    assert cast(Any, ascending.data[0]).content[0].text == "Turn 0."


def test_models_are_listed(client: OpenAI, retrying: Running) -> None:
    names = [each.id for each in client.models.list()]
    assert names
    assert client.models.retrieve(names[0]).id == names[0]
    with pytest.raises(NotFoundError):
        client.models.retrieve("of another world")


def test_the_helper_follows_and_parses(client: OpenAI, scripted: Upstream) -> None:
    scripted.then(Script(answer('{"city": ', '"Oslo"}')))
    with client.responses.stream(model="m", input="Where?", text_format=Place) as stream:
        kinds = {each.type for each in stream}
        final = stream.get_final_response()
    assert {"response.output_text.delta", "response.output_text.done"} <= kinds
    assert final.output_parsed == Place(city="Oslo")
    sent = scripted.received[0].body["response_format"]
    assert (sent["type"], sent["json_schema"]["name"]) == ("json_schema", "Place")


def test_parse_parses(client: OpenAI, scripted: Upstream) -> None:
    scripted.then(Script([piece('{"ci')], cut=True), Script(answer('{"city": "Oslo"}')))
    response = client.responses.parse(model="m", input="Where?", text_format=Place)
    assert response.output_parsed == Place(city="Oslo")


def test_parse_of_an_answer_that_failed_does_not_raise(client: OpenAI, scripted: Upstream) -> None:
    scripted.always = Script([piece('{"ci')], cut=True)
    response = client.responses.parse(model="m", input="Where?", text_format=Place)
    assert (response.status, response.output_parsed) == ("failed", None)
    assert response.error is not None


async def test_the_asynchronous_client_does_the_same(retrying: Running, scripted: Upstream) -> None:
    async with AsyncOpenAI(base_url=f"{retrying.url}/v1", api_key="any", max_retries=0) as client:
        response = await client.responses.create(model="m", input="Hi.")
        assert response.output_text == "Hello, world."
        async with client.responses.stream(response_id=response.id) as stream:
            assert (await stream.get_final_response()).output_text == "Hello, world."


@pytest.mark.parametrize("summary", [None, "auto"])
def test_reasoning_comes_as_asked_for(client: OpenAI, scripted: Upstream, summary: Any) -> None:
    scripted.then(Script([reasoning("Let me "), reasoning("think."), *answer("Hello.")]))
    asked: Any = {"effort": "low", "summary": summary}
    response = client.responses.create(model="m", input="Hi.", reasoning=asked)
    thought = cast(Any, response.output[0])
    assert thought.type == "reasoning"
    assert [each.text for each in thought.summary or thought.content] == ["Let me think."]
    assert bool(thought.summary) == (summary is not None)
    assert response.output_text == "Hello."
    assert scripted.received[0].body["reasoning_effort"] == "low"


def test_a_refusal_is_told_as_one(client: OpenAI, scripted: Upstream) -> None:
    scripted.then(Script([delta(refusal="I will "), delta(refusal="not."), finish(), USAGE, DONE]))
    response = client.responses.create(model="m", input="Hi.")
    assert cast(Any, response.output[0]).content[0].refusal == "I will not."
    assert response.output_text == ""


def test_an_answer_that_was_cut_is_incomplete(client: OpenAI, scripted: Upstream) -> None:
    scripted.then(Script(answer("Hel", reason="length")))
    response = client.responses.create(model="m", input="Hi.", max_output_tokens=16)
    assert response.status == "incomplete"
    assert response.incomplete_details is not None
    assert response.incomplete_details.reason == "max_output_tokens"
    assert response.output_text == "Hel"


def test_a_call_that_was_cut_is_not_told(client: OpenAI, scripted: Upstream) -> None:
    said = [call(0, '{"city": "Os', "call_a", "look_up"), finish("length"), USAGE, DONE]
    scripted.then(Script(said))
    response = client.responses.create(model="m", input="Hi.")
    assert (response.status, response.output) == ("incomplete", [])


def test_what_is_not_stored_is_gone_a_while_after_its_end(
    client: OpenAI, retrying: Running, scripted: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = client.responses.create(model="m", input="Hi.")
    response = client.responses.create(model="m", input="Hi.", store=False)
    assert [each.to_dict()["store"] for each in (stored, response)] == [True, False]
    assert client.responses.retrieve(response.id).output_text == "Hello, world."
    store = retrying.service.container.kept_tasks()
    monkeypatch.setattr(store, "_elapsed", lambda: time.monotonic() + UNSTORED_TTL + 1)
    with pytest.raises(NotFoundError):
        client.responses.retrieve(response.id)
    assert client.responses.retrieve(stored.id).output_text == "Hello, world."


def test_metadata_and_what_else_was_asked_comes_back(client: OpenAI, scripted: Upstream) -> None:
    response = client.responses.create(
        model="m", input="Hi.", metadata={"a": "b"}, temperature=0.5, top_p=0.25, user="u"
    )
    assert response.metadata == {"a": "b"}
    assert (response.temperature, response.top_p, response.user) == (0.5, 0.25, "u")


def test_every_answer_has_a_request_id(client: OpenAI, scripted: Upstream) -> None:
    first = client.responses.create(model="m", input="Hi.")
    again = client.responses.retrieve(first.id)
    assert first._request_id
    assert again._request_id
    assert first._request_id != again._request_id
    with pytest.raises(NotFoundError) as raised:
        client.responses.retrieve("resp_task_1_unknown")
    assert raised.value.request_id
