"""Tools that OpenAI runs, through a task: openai-python reads what they did as from OpenAI, and the
native API has it too."""

from collections.abc import Iterator
from typing import Any

import pytest
from openai import BadRequestError, OpenAI

from tests.doubles.responses_upstream import (
    ResponsesUpstream,
    delta,
    end_event,
    item_event,
    message_item,
)
from tests.end_to_end.openai_client import openai_client
from tests.official.logs import FILES, MCP, PICTURE, RUN, SEARCH, TOOLS
from tests.running import Running, running_service, settings_for

DID = [dict(each.data) for each in (SEARCH, FILES, TOOLS, MCP, RUN, PICTURE)]
ASKED: list[Any] = [
    {"type": "web_search"},
    {"type": "code_interpreter", "container": {"type": "auto"}},
    {"type": "image_generation"},
    {
        "type": "mcp",
        "server_label": "maps",
        "server_url": "https://maps.example.org",
        "require_approval": "never",
    },
]


@pytest.fixture
def service(responses_upstream: ResponsesUpstream) -> Iterator[Running]:
    settings = settings_for(
        openai_api_key="sk-planted",
        openai_base_url=responses_upstream.url,
        openai_api="responses",
        qstash_retry_delay="20",
    )
    with running_service(settings) as running:
        yield running


@pytest.fixture
def client(service: Running) -> Iterator[OpenAI]:
    with openai_client(service) as client:
        yield client


def answer_with_tools(upstream: ResponsesUpstream) -> None:
    message = message_item("Oslo.")
    upstream.answer(
        *(item_event(each, index, done=True) for index, each in enumerate(DID)),
        item_event({**message, "status": "in_progress", "content": []}, len(DID)),
        delta("Oslo.", index=len(DID)),
        item_event(message, len(DID), done=True),
        end_event([*DID, message]),
    )


def test_a_stream_with_hosted_tools_is_parsed_and_added_up(
    client: OpenAI, service: Running, responses_upstream: ResponsesUpstream
) -> None:
    answer_with_tools(responses_upstream)
    with client.responses.stream(model="m", input="Where?", tools=ASKED) as stream:
        events = list(stream)
        final = stream.get_final_response()
    assert responses_upstream.received[-1].body["tools"] == ASKED
    assert [each.to_dict() for each in final.tools] == ASKED
    done: list[Any] = [each.item for each in events if each.type == "response.output_item.done"]
    kinds = [each["type"] for each in DID]
    assert [each.type for each in done] == [*kinds, "message"]
    # The types of the SDK, not objects of an unknown kind.
    assert [type(each).__name__ for each in done[:2]] == [
        "ResponseFunctionWebSearch",
        "ResponseFileSearchToolCall",
    ]
    assert (done[4].code, done[4].outputs[0].logs) == ("print(6 * 7)", "42")
    assert (done[3].output, done[5].result) == ("59.9, 10.7", PICTURE.data["result"])
    task_id = final.id.removeprefix("resp_")
    for each, told in zip(done, DID, strict=False):
        assert each.id == f"{told['id'].partition('_')[0]}_{task_id}_{DID.index(told)}"
        assert each.to_dict() == {**told, "id": each.id}
    assert [each.type for each in final.output] == [*kinds, "message"]
    assert final.output_text == "Oslo."
    polled = client.responses.retrieve(final.id)
    assert [each.to_dict() for each in polled.output] == [each.to_dict() for each in done]
    record = service.client.http.get(f"/api/tasks/{task_id}").json()
    assert (record["items"], record["text"]) == (DID, "Oslo.")
    seen = service.client.events(task_id)
    assert [each.data["data"] for each in seen.events if each.type == "item"] == DID
    assert seen.events[-1].data["items"] == DID


def test_an_attempt_that_goes_on_tells_each_item_once(
    client: OpenAI, service: Running, responses_upstream: ResponsesUpstream
) -> None:
    answer_with_tools(responses_upstream)
    responses_upstream.breaks.extend([4, 2, 3])  # of each connection: after so many events
    with client.responses.stream(model="m", input="Where?", tools=ASKED) as stream:
        done: list[Any] = [e.item for e in stream if e.type == "response.output_item.done"]
        final: Any = stream.get_final_response()
    assert [each.type for each in done] == [*(each["type"] for each in DID), "message"]
    assert [each.id for each in final.output] == [each.id for each in done]
    assert responses_upstream.asked == 1
    seen = service.client.events(final.id.removeprefix("resp_")).events
    resumed = [each for each in seen if each.data.get("resumed")]
    assert len(resumed) == 3
    assert seen[-1].data["items"] == DID


def test_the_next_turn_may_send_the_items_back_or_refer_to_them(
    client: OpenAI, responses_upstream: ResponsesUpstream
) -> None:
    answer_with_tools(responses_upstream)
    first = client.responses.create(model="m", input="Where?", tools=ASKED)
    asked: Any = [{"role": "user", "content": "Where?"}]
    more: Any = [{"role": "user", "content": "Why?"}]
    told: Any = [each.to_dict() for each in first.output]
    referred: Any = [{"type": "item_reference", "id": each.id} for each in first.output]
    for way in (
        {"input": [*asked, *told, *more]},
        {"input": [*asked, *referred, *more]},
        {"input": more, "previous_response_id": first.id},
    ):
        assert client.responses.create(model="m", **way).status == "completed"
        said = [each.get("role") for each in responses_upstream.received[-1].body["input"]]
        assert said == ["user", "assistant", "user"]


def test_where_the_model_is_asked_by_chat_completions_they_are_refused_by_name(
    retrying: Running,
) -> None:
    with openai_client(retrying) as client, pytest.raises(BadRequestError) as refused:
        client.responses.create(model="m", input="Hi.", tools=ASKED[:1])
    assert refused.value.param == "tools[0].type"
