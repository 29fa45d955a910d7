"""/api/chat: send, follow, resume by chunk, stop, and one task per message of a chat."""

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.doubles.upstream import DONE, USAGE, Gate, Script, Upstream, call, finish, piece
from tests.end_to_end.ui_client import USER, Streamed, asking, follow, followed, posted, send
from tests.running import Running, running_service, settings_for

_CHATS = itertools.count(1)
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]


@pytest.fixture
def chat() -> str:
    """A chat of its own for each test of the shared service."""
    return f"chat{next(_CHATS)}"


@pytest.fixture(scope="module")
def running(shared_upstream: Upstream) -> Iterator[Running]:
    with running_service(settings_for(openai_base_url=shared_upstream.url)) as service:
        yield service


@pytest.fixture
def upstream(scripted: Upstream) -> Upstream:
    return scripted


def test_a_message_is_answered_in_the_form_of_the_ai_sdk(running: Running, chat: str) -> None:
    streamed = send(running, asking(chat))
    assert streamed.headers["x-vercel-ai-ui-message-stream"] == "v1"
    assert streamed.headers["content-type"].startswith("text/event-stream")
    assert streamed.text == "Hello, world."
    assert streamed.done
    first, *_, last = streamed.chunks
    assert first["messageId"] == f"msg_{streamed.task_id}"
    assert first["messageMetadata"]["taskId"] == streamed.task_id
    assert (last["type"], last["finishReason"]) == ("finish", "stop")
    assert running.client.record(streamed.task_id)["text"] == "Hello, world."


def test_a_chat_is_followed_by_its_id_and_by_its_task(running: Running, chat: str) -> None:
    streamed = send(running, asking(chat))
    for place in (chat, streamed.task_id):
        assert follow(running, place).chunks == streamed.chunks


def test_a_stream_goes_on_from_any_chunk(running: Running, chat: str) -> None:
    streamed = send(running, asking(chat))
    for place in (chat, streamed.task_id):
        for index in range(len(streamed.chunks)):
            rest = follow(running, place, f"?startIndex={index}")
            assert rest.chunks == streamed.chunks[index:]
            assert rest.done
    beyond = follow(running, streamed.task_id, f"?startIndex={len(streamed.chunks)}")
    assert beyond.status == 404


def test_a_negative_index_gets_all_and_where_to_count_from(running: Running, chat: str) -> None:
    streamed = send(running, asking(chat))
    whole = follow(running, chat, "?startIndex=-3")
    assert whole.chunks == streamed.chunks
    assert whole.headers["x-workflow-stream-tail-index"] == "2"


def test_a_running_answer_goes_on_live(running: Running, upstream: Upstream, chat: str) -> None:
    gate = Gate()
    upstream.then(Script([piece("Hel"), gate, piece("lo."), finish(), USAGE, DONE]))
    with posted(running, asking(chat)) as sent:
        sent.read(until="text-delta")
    index = len(sent.chunks)
    with followed(running, chat, f"?startIndex={index}") as rest:
        gate.open()
        rest.read()
    assert rest.text == "lo."
    assert [*sent.chunks, *rest.chunks] == follow(running, chat).chunks


def test_a_chat_without_a_task_has_nothing_to_follow(running: Running) -> None:
    assert follow(running, "empty").status == 204
    nothing = follow(running, "empty", "?startIndex=0")
    assert (nothing.status, nothing.types, nothing.done) == (200, ["finish"], True)


def test_what_is_not_there_is_not_found(running: Running) -> None:
    assert follow(running, "task_1_none").status == 404
    url = f"{running.url}/api/chat/task_1_none/stop"
    assert httpx.post(url).status_code == 404


@pytest.mark.parametrize("chat", ["..", "a b", "a/b", "ü", "x" * 129, "task_1_abc"])
def test_ids_that_no_chat_can_have_are_refused(running: Running, chat: str) -> None:
    refused = httpx.post(f"{running.url}/api/chat", json=asking(chat))
    assert refused.status_code == 400
    assert [each["field"] for each in refused.json()["errors"]] == ["id"]


@pytest.mark.parametrize("index", ["x", "1.5", "", "--1", "1234567890", "٣"])
def test_an_index_is_a_whole_number(running: Running, index: str) -> None:
    refused = httpx.get(f"{running.url}/api/chat/c/stream", params={"startIndex": index})
    assert [each["field"] for each in refused.json()["errors"]] == ["startIndex"]


def test_a_head_says_what_a_get_would(running: Running, chat: str) -> None:
    sent = send(running, asking(chat))
    head = httpx.head(f"{running.url}/api/chat/{chat}/stream")
    assert head.status_code == 200
    assert head.headers["x-workflow-run-id"] == sent.task_id
    assert httpx.head(f"{running.url}/api/chat/empty/stream").status_code == 204


def test_without_a_chat_the_task_is_followed(running: Running) -> None:
    streamed = send(running, asking(None))
    assert follow(running, streamed.task_id).chunks == streamed.chunks


def test_plain_text_needs_an_authorization(running: Running) -> None:
    content = '{"messages":[{"role":"user","parts":[{"type":"text","text":"Hi."}]}]}'
    headers = {"Content-Type": "text/plain;charset=UTF-8"}
    url = f"{running.url}/api/chat"
    assert httpx.post(url, content=content, headers=headers).status_code == 415
    headers["Authorization"] = "Bearer anything"
    assert httpx.post(url, content=content, headers=headers).status_code == 200
    assert httpx.post(f"{running.url}/v1/responses", content=content, headers=headers).is_error


def stop(running: Running, place: str, **body: Any) -> Any:
    return httpx.post(f"{running.url}/api/chat/{place}/stop", json=body or None).json()


def test_a_stop_cancels_the_newest_task_of_a_chat(
    running: Running, upstream: Upstream, chat: str
) -> None:
    gate = Gate()
    upstream.then(Script([piece("Hel"), gate]))
    with posted(running, asking(chat)) as sent:
        sent.read(until="text-delta")
        assert stop(running, chat, activeStreamId="another") == {"success": True}
        assert running.client.record(sent.task_id)["status"] == "running"
        active = {"activeStreamId": sent.task_id, "assistantMessage": {"id": "a"}}
        assert stop(running, chat, **active) == {"success": True}
        sent.read()
    gate.open()
    assert "abort" in sent.types
    assert sent.chunks[-1]["finishReason"] == "other"
    assert stop(running, chat) == stop(running, "empty") == {"success": True}


def test_a_disconnect_stops_nothing(running: Running, upstream: Upstream, chat: str) -> None:
    gate = Gate()
    upstream.then(Script([piece("Hel"), gate, piece("lo."), finish(), USAGE, DONE]))
    with posted(running, asking(chat)) as sent:
        sent.read(until="text-delta")
    gate.open()
    assert follow(running, chat).text == "Hello."


def test_the_same_request_joins_its_task(running: Running, upstream: Upstream, chat: str) -> None:
    gate = Gate()
    upstream.then(Script([piece("Hel"), gate, piece("lo."), finish(), USAGE, DONE]))
    with posted(running, asking(chat)) as first:
        first.read(until="text-delta")
        with posted(running, asking(chat)) as again:
            assert again.task_id == first.task_id
            gate.open()
            assert again.read().text == first.read().text == "Hello."
    assert send(running, asking(chat)).task_id == first.task_id  # it has just ended
    assert len(upstream.received) == 1


def test_a_new_message_cancels_the_task_that_runs(
    running: Running, upstream: Upstream, chat: str
) -> None:
    gate = Gate()
    upstream.then(Script([piece("Hel"), gate]))
    other = {**USER, "id": "u2", "parts": [{"type": "text", "text": "No, wait."}]}
    with posted(running, asking(chat)) as first:
        first.read(until="text-delta")
        assert send(running, asking(chat, USER, other)).text == "Hello, world."
        assert "abort" in first.read().types
    gate.open()
    assert running.client.record(first.task_id)["status"] == "cancelled"


def test_a_service_may_reject_a_message_while_a_task_runs(upstream: Upstream, chat: str) -> None:
    gate = Gate()
    settings = settings_for(openai_base_url=upstream.url, chat_while_running="reject")
    upstream.then(Script([piece("Hel"), gate, piece("lo."), finish(), USAGE, DONE]))
    with running_service(settings) as running, posted(running, asking(chat)) as first:
        first.read(until="text-delta")
        url, body = f"{running.url}/api/chat", asking(chat, trigger="regenerate-message")
        refused = httpx.post(url, json=body)
        assert (refused.status_code, refused.json()["title"]) == (409, "Chat busy")
        gate.open()
        assert first.read().text == "Hello."


def test_equal_messages_at_once_are_one_task(
    running: Running, upstream: Upstream, chat: str
) -> None:
    with ThreadPoolExecutor(8) as pool:
        sent: list[Streamed] = list(pool.map(lambda _: send(running, asking(chat)), range(8)))
    assert len({each.task_id for each in sent}) == 1
    assert {each.text for each in sent} == {"Hello, world."}
    assert len(upstream.received) == 1


def test_rounds_of_tools_go_on_with_their_message(
    running: Running, upstream: Upstream, chat: str
) -> None:
    upstream.then(
        Script([call(0, '{"city":"Oslo"}', "call_0", "weather"), finish("tool_calls"), USAGE, DONE])
    )
    body = asking(chat, options={"tools": TOOLS})
    first = send(running, body)
    [available] = [each for each in first.chunks if each["type"] == "tool-input-available"]
    assert available["input"] == {"city": "Oslo"}
    assert "dynamic" not in available
    assert first.chunks[-1]["finishReason"] == "tool-calls"
    part = {
        "type": "tool-weather",
        "toolCallId": available["toolCallId"],
        "state": "output-available",
        "input": available["input"],
        "output": {"degrees": 20},
    }
    answer = {
        "id": first.chunks[0]["messageId"],
        "role": "assistant",
        "parts": [{"type": "step-start"}, part],
    }
    second = send(running, {**body, "messages": [USER, answer], "messageId": answer["id"]})
    assert second.task_id != first.task_id
    assert second.chunks[0]["messageId"] == answer["id"]
    *_, said, result = upstream.received[1].body["messages"]
    assert said["tool_calls"][0]["id"] == result["tool_call_id"] == available["toolCallId"]
    assert result["content"] == '{"degrees":20}'
    # By chat the whole message is told, by task only what this run has added.
    assert follow(running, second.task_id).chunks == second.chunks
    whole = follow(running, chat)
    assert "tool-output-available" in whole.types
    assert whole.types.count("start-step") == 2
    assert whole.chunks[-len(second.chunks) + 1 :] == second.chunks[1:]


def test_every_fault_is_named(running: Running) -> None:
    body = {
        "id": "a/b",
        "messages": [{"id": "u", "role": "user", "parts": [{"type": "text"}]}],
        "maxTokens": "7",
        "surprise": 1,
    }
    refused = httpx.post(f"{running.url}/api/chat", json=body)
    assert refused.status_code == 400
    named = {each["field"] for each in refused.json()["errors"]}
    assert named >= {"maxTokens", "surprise", "messages[0].parts[0].text"}
