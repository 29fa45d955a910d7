"""Chat completions through the official client: what it asks for is a task, and what it is told is
the answer of the last attempt."""

from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionChunk
from pydantic import BaseModel

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
    refusal,
)
from tests.end_to_end.chat_client import ASKED, ask, client_of
from tests.running import Running

TOOL = {
    "type": "function",
    "function": {
        "name": "look_up",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {"a": {"type": "integer"}},
            "required": ["a"],
            "additionalProperties": False,
        },
    },
}
CALLS = [call(0, '{"a', "call_a", "look_up"), call(1, "", "call_b", "look_up"), call(0, '": 1}')]
ON_DISCONNECT = "X-Longtask-On-Disconnect"
LOST = Script([piece("lost")], cut=True)


def chunks_of(running: Running, **asked: Any) -> list[ChatCompletionChunk]:
    return list(client_of(running).chat.completions.create(**{**ASKED, **asked}, stream=True))


def text_of(chunks: list[ChatCompletionChunk]) -> str:
    return "".join(each.choices[0].delta.content or "" for each in chunks if each.choices)


def test_an_answer(retrying: Running, scripted: Upstream, streamed: bool) -> None:
    completion = ask(retrying, streamed=streamed, temperature=0.5)
    assert completion.id.startswith("chatcmpl-task_")
    [choice] = completion.choices
    assert (choice.message.content, choice.message.refusal) == ("Hello, world.", None)
    assert (choice.message.role, choice.finish_reason) == ("assistant", "stop")
    [received] = scripted.received
    assert received.body["messages"] == ASKED["messages"]
    assert received.body["temperature"] == 0.5


def test_reasoning_a_refusal_and_calls_of_tools(
    retrying: Running, scripted: Upstream, streamed: bool
) -> None:
    said = [reasoning("Let me "), reasoning("think."), piece("Well. "), delta(refusal="No.")]
    scripted.then(Script([*said, *CALLS, finish("tool_calls"), USAGE, DONE]))
    choice = ask(retrying, streamed=streamed, tools=[TOOL]).choices[0]
    assert choice.finish_reason == "tool_calls"
    message = choice.message
    assert (message.content, message.refusal) == ("Well. ", "No.")
    assert message.reasoning_content == "Let me think."
    calls = [(each.id, each.function.name, each.function.arguments) for each in message.tool_calls]
    assert calls == [("call_a", "look_up", '{"a": 1}'), ("call_b", "look_up", "{}")]
    if streamed:
        assert message.tool_calls[0].function.parsed_arguments == {"a": 1}


class Data(BaseModel):
    a: int


def test_an_answer_in_a_schema_is_parsed(retrying: Running, scripted: Upstream) -> None:
    scripted.then(Script(answer('{"a"', ": 7}")))
    parse = client_of(retrying).chat.completions.parse
    parsed = parse(**ASKED, response_format=Data).choices[0].message.parsed
    assert parsed == Data(a=7)


def test_an_answer_that_was_cut_off_says_so(retrying: Running, scripted: Upstream) -> None:
    scripted.then(Script(answer("Hel", reason="length")), Script(answer("Hel", reason="length")))
    choice = ask(retrying, streamed=False).choices[0]
    assert (choice.message.content, choice.finish_reason) == ("Hel", "length")
    chunks = chunks_of(retrying)
    assert (text_of(chunks), chunks[-1].choices[0].finish_reason) == ("Hel", "length")


def test_the_usage_is_the_last_chunk_if_it_is_asked_for(
    retrying: Running, scripted: Upstream
) -> None:
    *others, last = chunks_of(retrying, stream_options={"include_usage": True})
    assert text_of(others) == "Hello, world."
    assert all(each.usage is None for each in others)
    assert last.choices == []
    assert last.usage is not None
    assert last.usage.total_tokens == 8
    assert all(each.usage is None for each in chunks_of(retrying))


def test_the_task_is_named_and_is_read_on_the_native_face(
    retrying: Running, scripted: Upstream, streamed: bool
) -> None:
    raw = client_of(retrying).chat.completions.with_raw_response
    response = raw.create(**ASKED, stream=streamed)
    task_id = response.headers["x-longtask-task-id"]
    parsed: Any = response.parse()
    ids = {each.id for each in parsed} if streamed else {parsed.id}
    assert ids == {f"chatcmpl-{task_id}"}
    assert retrying.client.record(task_id)["text"] == "Hello, world."


def test_a_lost_attempt_is_no_answer(retrying: Running, scripted: Upstream) -> None:
    scripted.then(LOST)
    with pytest.raises(openai.APIError) as raised:
        chunks_of(retrying)
    assert raised.value.code == "attempt_lost"
    scripted.then(LOST)
    assert ask(retrying, streamed=False).choices[0].message.content == "Hello, world."


def test_reasoning_that_was_lost_stops_nothing(retrying: Running, scripted: Upstream) -> None:
    scripted.then(Script([reasoning("Hm.")], cut=True))
    assert text_of(chunks_of(retrying)) == "Hello, world."


def test_a_replay_with_the_same_key_leaves_out_what_was_lost(
    retrying: Running, scripted: Upstream, streamed: bool
) -> None:
    key = {"Idempotency-Key": f"replay {streamed}"}
    scripted.then(LOST)
    with pytest.raises(openai.APIError, match="begins anew"):
        chunks_of(retrying, extra_headers=key)
    again = ask(retrying, streamed=streamed, extra_headers=key)
    assert again.choices[0].message.content == "Hello, world."
    assert ask(retrying, streamed=streamed, extra_headers=key).id == again.id
    assert len(scripted.received) == 2


@pytest.mark.parametrize(
    ("status", "code", "error", "their_code"),
    [
        (500, None, openai.InternalServerError, "model_error"),
        (401, "invalid_api_key", openai.BadRequestError, "invalid_api_key"),
    ],
)
def test_a_task_that_failed(
    retrying: Running,
    scripted: Upstream,
    status: int,
    code: str | None,
    error: type[openai.APIStatusError],
    their_code: str,
) -> None:
    scripted.always = refusal(status, code)
    with pytest.raises(openai.APIError) as streamed:
        chunks_of(retrying)
    assert streamed.value.code == their_code
    asked = len(scripted.received)
    with pytest.raises(error) as held:
        ask(retrying, streamed=False)
    assert held.value.code == their_code
    assert held.value.response.headers["x-longtask-task-id"].startswith("task_")
    assert len(scripted.received) == 2 * asked  # the client has not asked again by itself


def test_a_task_that_is_cancelled(retrying: Running, scripted: Upstream) -> None:
    gate = Gate()
    scripted.then(Script([piece("Te"), gate]))
    raw = client_of(retrying).chat.completions.with_raw_response.create(**ASKED, stream=True)
    stream: Any = raw.parse()
    task_id = raw.headers["x-longtask-task-id"]
    while next(stream).choices[0].delta.content != "Te":
        pass
    retrying.client.http.post(f"/api/tasks/{task_id}/cancel")
    with pytest.raises(openai.APIError) as raised:
        next(stream)
    assert raised.value.code == "cancelled"


@pytest.mark.parametrize(
    ("fields", "status", "param"),
    [
        (
            {"headers": {"X-Longtask-On-Disconnect": "x"}, "json": ASKED},
            400,
            "X-Longtask-On-Disconnect",
        ),
        ({"headers": {"Idempotency-Key": "k" * 256}, "json": ASKED}, 400, "Idempotency-Key"),
        ({"data": {"model": "m"}}, 415, "Content-Type"),
        ({"json": [ASKED]}, 400, "body"),
        ({"json": {**ASKED, "messages": []}}, 400, "messages"),
    ],
)
def test_bad_input_is_refused_in_openai_words(
    retrying: Running, fields: dict[str, Any], status: int, param: str
) -> None:
    response = retrying.client.http.post("/v1/chat/completions", **fields)
    error = response.json()["error"]
    assert (response.status_code, error["param"]) == (status, param)
    assert error["type"] == "invalid_request_error"
