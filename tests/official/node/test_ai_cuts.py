"""The AI SDK's transports read streams of logs of every kind, cut after every chunk. However the
page goes on, it shows the message of an uncut read: no text twice, none missing, each tool run
once."""

import asyncio
import itertools
import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import pytest

from application.chats import chat_key
from domain.answer import Answer, AnswerBuilder
from domain.events import PieceAdded, add_piece
from domain.request import TaskRequest
from entrypoints.http.ai_sdk.chat_body import read_chat
from entrypoints.http.request_defaults import RequestDefaults
from tests.official.logs import KINDS, A, call, log_of, put, text, think
from tests.official.node.conftest import Page
from tests.running import Running

pytestmark = pytest.mark.soak

_NUMBERS = itertools.count(1)
Json = dict[str, Any]
Steps = tuple[PieceAdded | str, ...]

USER = {"id": "u1", "role": "user", "parts": [{"type": "text", "text": "Hi."}]}
STEP = {"type": "step-start"}
SAID = {"type": "text", "text": "Let me look.", "state": "done"}
THOUGHT = {"type": "reasoning", "id": "3", "text": "Hm.", "state": "done"}
KNOWN = {
    "type": "tool-look_up",
    "toolCallId": "call_a",
    "state": "output-available",
    "input": {"city": "Oslo"},
    "output": {"degrees": [20, None]},
}
UNNAMED = {
    "type": "dynamic-tool",
    "toolName": "guess",
    "toolCallId": "call_b",
    "state": "output-available",
    "input": {},
    "output": "",
}
FAILED = {
    "type": "tool-look_up",
    "toolCallId": "call_c",
    "state": "output-error",
    "input": {"city": "Rome"},
    "errorText": "Out of order.",
}
NO_JSON = {
    "type": "tool-look_up",
    "toolCallId": "call_d",
    "state": "output-error",
    "rawInput": '{"city": ',  # in version 7, `input`
    "errorText": "No JSON.",
}
EARLIER: Mapping[str, list[Json]] = {
    "a tool's result": [STEP, KNOWN],
    "text and results": [STEP, THOUGHT, SAID, KNOWN, UNNAMED],
    "failed tools": [STEP, SAID, FAILED, NO_JSON],
    "three rounds": [STEP, KNOWN, STEP, SAID, {**KNOWN, "toolCallId": "call_z"}, STEP, UNNAMED],
}
"""What the page had shown of a message when its tools gave their results."""
AFTER = (
    "text",
    "nothing said",
    "reasoning",
    "one call",
    "lost in text",
    "lost in a call",
    "resumed in text",
    "cut in a call",
    "cancelled in text",
    "failed in text",
)
"""The kinds of logs that go on with such a message."""
UNNAMED_CALL = (think("Hm."), call(0, "{}", "call_0"), text("Wait."), "tool_calls")
BROKEN_CALL = (A, call(0, '"Os'), "tool_calls")

GOES_ON = ("workflow, cut once", "workflow, ended early", "workflow, cut three times")
ONCE = "workflow, cut after each chunk"
RELOADED = (
    "reload",
    "reload, workflow",
    "reload, all stored",
    "reload, all stored, workflow",
    "reload, startIndex < 0",
)
SAME_PAGE = ("same page", "same page, workflow")
"""Version 5 has no way to tell that a resumed stream begins anew: it shows the text twice."""


def ask(sdk: int, chat: str, earlier: list[Json], tools: bool) -> tuple[TaskRequest, list[Json]]:
    """What the page posted, and the messages that it then had."""
    messages: list[Json] = [USER]
    if earlier:
        earlier = as_shown(earlier, sdk)
        told = {"taskId": "task_before", "usage": {"totalTokens": 8}}
        messages.append({"id": "m1", "role": "assistant", "metadata": told, "parts": earlier})
    options = {"tools": [{"type": "function", "function": {"name": "look_up"}}]} if tools else {}
    body = {"id": chat, "messages": messages, "sdk": sdk, "options": options}
    return read_chat(body, RequestDefaults(model="m")).request, messages


def as_shown(parts: list[Json], sdk: int) -> list[Json]:
    """Parts, as a version has them."""
    if sdk < 7:
        return parts
    return [{"input" if k == "rawInput" else k: v for k, v in each.items()} for each in parts]


def keep(service: Running, sdk: int, name: str, steps: Steps, earlier: list[Json]) -> Json:
    """Put a log into the store, and let a chat point to it."""
    chat = f"chat-{sdk}-{next(_NUMBERS)}"
    request, messages = ask(sdk, chat, earlier, tools=name != "a call of a tool without a name")
    given = {each.name: getattr(request, each.name) for each in fields(request) if each.init}
    task = put(service, steps, **given)
    keys = service.service.container.idempotency_keys()
    asyncio.run(keys.rebind(chat_key(chat, None), "any", task, 3600))
    return {"name": name, "task": task, "chat": chat, "messages": messages}


def all_logs() -> dict[str, tuple[Steps, list[Json]]]:
    logs: dict[str, tuple[Steps, list[Json]]] = {name: (log, []) for name, log in KINDS.items()}
    logs["a call of a tool without a name"] = UNNAMED_CALL, []
    logs["a call that is no JSON"] = BROKEN_CALL, []
    for earlier, kind in zip(itertools.cycle(EARLIER), AFTER, strict=False):
        logs[f"{earlier}, then {kind}"] = KINDS[kind], EARLIER[earlier]
    return logs


def answer_of(steps: Steps) -> Answer:
    """What a page should show of a log: the pieces of its last attempt."""
    answer = AnswerBuilder()
    for event in log_of(steps):
        add_piece(answer, event)
    return answer.answer()


@pytest.fixture(scope="module")
def seen(page: Page, service: Running) -> list[Json]:
    """What the transports made of each log."""
    logs = [keep(service, page.sdk, name, *log) for name, log in all_logs().items()]
    return page.run("ai_cuts", service.url, "all", logs=logs)


def test_however_a_page_goes_on_it_shows_what_an_uncut_read_shows(seen: list[Json]) -> None:
    failed = [each for each in seen if each["failures"]]
    names = [f"{each['name']} ({each['failures']})" for each in failed]
    assert not failed, f"{names}\n{json.dumps(failed[0])}"


def test_each_way_to_go_on_was_tried_after_every_chunk(page: Page, seen: list[Json]) -> None:
    assert {each["name"] for each in seen} == set(all_logs())
    for each in seen:
        count = each["count"]
        tried = dict.fromkeys(RELOADED, count)
        tried |= dict.fromkeys(SAME_PAGE, count) if page.sdk > 5 else {}
        assert each["ways"] == {ONCE: 1, **dict.fromkeys(GOES_ON, count + 1), **tried}


def test_the_page_shows_the_answer_of_the_log(page: Page, seen: list[Json]) -> None:
    logs = all_logs()
    for each in seen:
        steps, earlier = logs[each["name"]]
        end = steps[-1]
        asked, shown = each["told"]["messages"][0], each["told"]["messages"][-1]
        assert (asked, shown["role"], len(each["told"]["messages"])) == (USER, "assistant", 2)
        assert shown["parts"][: len(earlier)] == as_shown(earlier, page.sdk)
        step, *parts = shown["parts"][len(earlier) :]
        assert step == STEP
        check_parts(each, parts, answer_of(steps), cut=end not in ("stop", "tool_calls"))
        errors = {"failed": "Busy.", "refused": "Who?"}
        told = (each["told"]["status"], each["told"].get("error"))
        assert told == (("error", errors[end]) if end in errors else ("ready", None)), each["name"]
        statuses = {"cancelled": "cancelled", "failed": "failed", "refused": "failed"}
        assert shown["metadata"]["status"] == statuses.get(str(end), "completed")


def check_parts(log: Json, parts: list[Json], answer: Answer, *, cut: bool) -> None:
    told = {"text": "", "refusal": "", "reasoning": ""}
    tools = []
    for part in parts:
        if part["type"] == "text":
            refused = "longtask" in part.get("providerMetadata", {})
            told["refusal" if refused else "text"] += part["text"]
        elif part["type"] == "reasoning":
            told["reasoning"] += part["text"]
        elif "toolCallId" in part:
            tools.append(part)
        else:
            assert part["type"] in ("source-url", "data-item", "file")
        assert part.get("state") != "streaming"
    refusal = answer.refusal  # it is a part of the text, too
    assert (told["text"] + told["refusal"], told["refusal"]) == (answer.text, refusal), log["name"]
    assert told["reasoning"] == answer.reasoning
    assert len(tools) == len(answer.tool_calls)
    items = [part["data"] for part in parts if part["type"] == "data-item"]
    assert [each["id"] for each in items] == [each["id"] for each in answer.items]
    files = [part["url"] for part in parts if part["type"] == "file"]
    pictures = [each["result"] for each in answer.items if "result" in each]
    assert files == [f"data:image/png;base64,{each}" for each in pictures]
    run = []
    for part, made in zip(tools, answer.tool_calls, strict=True):
        name = part.get("toolName") or part["type"].removeprefix("tool-")
        assert name == made.name
        if cut:
            assert part["state"] == "input-streaming"
        elif log["name"] == "a call that is no JSON":
            assert part["state"] == "output-error"
            assert made.arguments in (part.get("rawInput"), part.get("input"))
        else:
            assert (part["state"], part["input"]) == (
                "input-available",
                json.loads(made.arguments or "{}"),
            )
            run.append(part["toolCallId"])
    assert log["calls"] == run
