"""From the body of `POST /api/chat` to the request of a task."""

from typing import Any

import pytest
from litestar.plugins.problem_details import ProblemDetailsException

from domain.request import RequestBounds
from entrypoints.http.ai_sdk.chat_body import ChatAsked, read_chat
from entrypoints.http.ai_sdk.ids import chat_id_fault
from entrypoints.http.request_defaults import RequestDefaults
from tests.told_faults import told_faults

DEFAULTS = RequestDefaults(model="m", temperature=0.1)
HI = {"id": "u1", "role": "user", "parts": [{"type": "text", "text": "Hi."}]}
STEP = {"type": "step-start"}
TEXT = {"type": "text", "text": "Hello.", "state": "done"}


def read(bounds: RequestBounds | None = None, **body: Any) -> ChatAsked:
    return read_chat({"messages": [HI], **body}, DEFAULTS, bounds or RequestBounds())


def faults(**body: Any) -> dict[str, str]:
    with pytest.raises(ProblemDetailsException) as refused:
        read(**body)
    return told_faults(refused.value)


def later_faults(**body: Any) -> list[str]:
    """What the use case finds, by the names that the client wrote."""
    asked = read(**body)
    return [asked.param_of(each.field) for each in asked.request.faults()]


def assistant(*parts: Any, **more: Any) -> dict[str, Any]:
    return {"id": "a1", "role": "assistant", "parts": list(parts), **more}


def test_every_field_has_its_place_in_the_request() -> None:
    tools = [{"type": "function", "function": {"name": "f"}}]
    asked = read(
        id="c1",
        trigger="regenerate-message",
        messageId="a1",
        model="gpt",
        maxTokens=10.0,
        temperature=1,
        system="Be brief.",
        options={"tools": tools},
        metadata={"a": "b"},
        ttl=60,
        sdk=5,
    )
    assert (asked.chat_id, asked.trigger) == ("c1", "regenerate-message")
    request = asked.request
    assert request.faults() == []
    assert (request.model, request.max_tokens, request.temperature) == ("gpt", 10, 1)
    assert (request.system, request.ttl) == ("Be brief.", 60)
    assert (dict(request.options), dict(request.metadata)) == ({"tools": tools}, {"a": "b"})
    assert dict(request.echo) == {"api": "ai-sdk", "sdk": 5, "chatId": "c1"}


def test_what_is_not_said_is_the_default() -> None:
    for body in ({}, {"id": None, "trigger": None, "messageId": None, "sdk": None, "model": None}):
        asked = read(**body)
        assert (asked.chat_id, asked.trigger) == (None, "submit-message")
        assert (asked.request.model, asked.request.temperature) == ("m", 0.1)
        assert dict(asked.request.echo) == {"api": "ai-sdk", "sdk": 7}


def test_a_message_of_the_assistant_that_is_the_last_one_is_continued() -> None:
    lost = {"type": "text", "text": "lost"}
    reset = {"type": "data-reset-step", "data": {"attempt": 2}}
    message = assistant(STEP, lost, reset, TEXT, metadata={"n": [1]}, createdAt="today")
    assert read(messages=[HI, message]).request.echo["message"] == {
        "id": "a1",
        "parts": [STEP, TEXT],
        "metadata": {"n": [1]},
    }
    assert read(messages=[HI, assistant()]).request.echo["message"] == {"id": "a1", "parts": []}
    assert "message" not in read(messages=[HI, message, HI]).request.echo


@pytest.mark.parametrize("message_id", [None, ""])
def test_a_message_that_is_continued_needs_its_id(message_id: str | None) -> None:
    unnamed = assistant(TEXT, id=message_id)
    assert list(faults(messages=[HI, unnamed])) == ["messages[1].id"]
    assert read(messages=[HI, unnamed, HI]).request.faults() == []


@pytest.mark.parametrize("chat_id", ["a", "a" * 128, "A-b_c.d~e:f@g", "...", "tasks"])
def test_the_id_of_a_chat_may_be_chosen(chat_id: str) -> None:
    assert chat_id_fault(chat_id) is None
    assert read(id=chat_id).chat_id == chat_id


@pytest.mark.parametrize(
    "chat_id", ["", "a" * 129, ".", "..", "a/b", "a b", "é", "a\n", "task_", "task_1"]
)
def test_the_id_of_a_chat_is_one_segment_of_a_path_and_no_tasks_id(chat_id: str) -> None:
    assert chat_id_fault(chat_id)
    assert list(faults(id=chat_id)) == ["id"]


@pytest.mark.parametrize(
    ("messages", "message"),
    [
        (None, "is required"),
        ([], "must not be empty"),
        ("Hi.", "must be an array"),
        ([assistant(STEP)], "must hold a message that says something"),
    ],
)
def test_messages_are_required(messages: Any, message: str) -> None:
    assert faults(messages=messages) == {"messages": message}


def test_everything_that_is_wrong_is_named_at_once() -> None:
    assert faults(
        id=1,
        trigger="resume",
        messageId=2,
        model=3,
        maxTokens="4",
        temperature=3,
        system=" ",
        options=[],
        metadata={"a": 1},
        ttl=1.5,
        sdk=4,
        webhook={},
        prompt="Hi.",
        tools=[],
        messages=[{**HI, "role": "robot"}, {**HI, "parts": [{"type": "text", "text": " "}]}],
    ) == {
        "webhook": "is not accepted here: use /api/tasks/start",
        "prompt": "is not accepted: use messages",
        "id": "must be a string",
        "trigger": 'must be one of "submit-message", "regenerate-message"',
        "messageId": "must be a string",
        "messages[0].role": 'must be one of "system", "user", "assistant"',
        "options": "must be an object",
        "model": "must be a string",
        "maxTokens": "must be a number",
        "metadata": "each value must be a string",
        "ttl": "must be a whole number",
        "sdk": "must be 5, 6 or 7",
        "tools": "is not known",
        "system": "must not be empty",
        "messages[1].parts": "must not be empty",
        "temperature": "must be from 0 to 2",
    }


def test_what_the_use_case_refuses_has_the_name_that_the_client_wrote() -> None:
    assert later_faults(maxTokens=0, options={"stream": True, "n": 2}, ttl=0) == [
        "maxTokens",
        "ttl",
        "options.stream",
        "options.n",
    ]
    deep: Any = {}
    for _ in range(200):
        deep = {"a": deep}
    assert later_faults(messages=[HI, assistant(TEXT, metadata=deep)]) == ["messages"]


def test_the_bounds_of_the_service_are_told_with_the_rest() -> None:
    url = "http://example.com/a.png"
    image = {**HI, "parts": [{"type": "file", "mediaType": "image/png", "url": url}]}
    assert list(faults(messages=[image], sdk=4)) == ["sdk", "messages[0].parts[0].url"]
    with pytest.raises(ProblemDetailsException) as refused:
        read(RequestBounds(http_media=True), messages=[image], sdk=4)
    assert list(told_faults(refused.value)) == ["sdk"]
