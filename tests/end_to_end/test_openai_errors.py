"""What is wrong reaches users of openai-python as the exception that they know."""

from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
from openai import (
    APIError,
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    InternalServerError,
    NotFoundError,
    OpenAI,
    RateLimitError,
)

from tests.doubles.upstream import Script, Upstream, answer, piece, refusal
from tests.end_to_end.guarded import ALICE, BOB, alices
from tests.end_to_end.openai_client import openai_client
from tests.running import Running


@pytest.fixture(scope="module")
def guarded(shared_upstream: Upstream) -> Iterator[Running]:
    with alices(shared_upstream) as running:
        yield running


@pytest.fixture(scope="module")
def client(retrying: Running) -> Iterator[OpenAI]:
    with openai_client(retrying) as client:
        yield client


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"truncation": "auto"}, "truncation"),
        ({"temperature": 7}, "temperature"),
        ({"metadata": {"a": "b" * 600}}, "metadata"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]},
            "input[0].content[0].file_id",
        ),
    ],
)
def test_a_bad_request_names_the_parameter(
    client: OpenAI, fields: dict[str, Any], param: str
) -> None:
    with pytest.raises(BadRequestError) as raised:
        client.responses.create(**{"model": "m", "input": "Hi.", **fields})
    assert raised.value.param is not None
    assert raised.value.param.startswith(param)
    assert raised.value.type == "invalid_request_error"


def test_a_wrong_key_is_refused(guarded: Running) -> None:
    with openai_client(guarded, "lt_guessed") as client:
        with pytest.raises(AuthenticationError) as raised:
            client.responses.create(model="m", input="Hi.")
        assert raised.value.code == "invalid_api_key"
        with pytest.raises(AuthenticationError):
            client.models.list()


def test_a_response_of_another_owner_is_unknown(guarded: Running, scripted: Upstream) -> None:
    with openai_client(guarded, ALICE) as alice, openai_client(guarded, BOB) as bob:
        response = alice.responses.create(model="m", input="Hi.")
        calls = (
            lambda: bob.responses.retrieve(response.id),
            lambda: bob.responses.retrieve(response.id, stream=True),
            lambda: bob.responses.cancel(response.id),
            lambda: bob.responses.delete(response.id),
            lambda: bob.responses.input_items.list(response.id),
            lambda: bob.responses.create(
                model="m",
                input=[cast(Any, {"type": "item_reference", "id": response.output[0].id})],
            ),
        )
        for call in calls:
            with pytest.raises(NotFoundError):
                call()
        with pytest.raises((BadRequestError, NotFoundError)) as raised:
            bob.responses.create(model="m", input="Go on.", previous_response_id=response.id)
        assert raised.value.param == "previous_response_id"
        assert alice.responses.retrieve(response.id).output_text == "Hello, world."


def test_too_many_requests(shared_upstream: Upstream) -> None:
    with (
        alices(shared_upstream, limits="starts=1") as limited,
        openai_client(limited, ALICE) as client,
    ):
        client.responses.create(model="m", input="Hi.")
        with pytest.raises(RateLimitError) as raised:
            client.responses.create(model="m", input="Hi.")
    headers = raised.value.response.headers
    assert raised.value.type == "rate_limit_error"
    assert int(headers["retry-after"]) > 0
    assert headers["x-ratelimit-remaining-requests"] == "0"


def test_what_openai_has_and_this_service_has_not_is_refused_by_name(client: OpenAI) -> None:
    calls: dict[str, Callable[[], object]] = {
        "files": client.files.list,
        "conversation": client.conversations.create,
        "embeddings": lambda: client.embeddings.create(model="m", input="Hi."),
        "shorten conversations": lambda: client.responses.compact(model="m", input="Hi."),
        "counts tokens": lambda: client.responses.input_tokens.count(model="m", input="Hi."),
        "images": lambda: client.images.generate(model="m", prompt="A cat."),
    }
    for word, call in calls.items():
        with pytest.raises(APIStatusError, match=word):
            call()


def test_a_failed_response_is_an_object_that_says_why(client: OpenAI, scripted: Upstream) -> None:
    scripted.then(refusal(401, "invalid_api_key", "Who?"))
    response = client.responses.create(model="m", input="Hi.")
    assert (response.status, response.output) == ("failed", [])
    assert response.error is not None
    assert client.responses.retrieve(response.id).error == response.error
    assert len(scripted.received) == 1


def test_a_client_that_joins_pieces_is_told_that_they_are_lost(
    client: OpenAI, scripted: Upstream
) -> None:
    """Its stream ends there. Taken up again, it goes on with the next attempt."""
    scripted.then(Script([piece("Half")], cut=True), Script(answer("Hello.")))
    with client.responses.create(model="m", input="Hi.", stream=True) as stream:
        events = list(stream)
    last = events[-1]
    assert last.type == "response.failed"
    assert last.response.error is not None
    assert cast(str, last.response.error.code) == "attempt_lost"
    with client.responses.retrieve(
        last.response.id, stream=True, starting_after=last.sequence_number
    ) as stream:
        rest = list(stream)
    assert rest[-1].type == "response.completed"
    assert rest[-1].response.output_text == "Hello."
    with client.responses.retrieve(last.response.id, stream=True) as stream:
        whole = [each.to_dict() for each in stream]
    assert whole == [each.to_dict() for each in (*events[:-1], *rest)]


@pytest.mark.parametrize("stream", [False, True])
def test_a_failed_chat_completion_raises(client: OpenAI, scripted: Upstream, stream: Any) -> None:
    """The SDK does not repeat it: the service has done so."""
    scripted.always = refusal(503)
    asked: Any = {"model": "m", "messages": [{"role": "user", "content": "Hi."}], "stream": stream}
    repeating = client.with_options(max_retries=2)
    if stream:
        with pytest.raises(APIError):
            list(repeating.chat.completions.create(**asked))
    else:
        with pytest.raises(InternalServerError):
            repeating.chat.completions.create(**asked)
    assert len(scripted.received) == 3
