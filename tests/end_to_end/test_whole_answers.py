"""Everything that a model can be asked and can say, from the body of a start to the record: no
parameter and no piece of an answer is lost, and what a lost attempt said does not count."""

from typing import Any

import pytest

from domain.events import TaskStatus, fold
from tests.doubles.upstream import DONE, USAGE, Gate, Script, Upstream, event, finish, piece
from tests.native_events import answer_of, event_of
from tests.running import Client, Running

PNG = "data:image/png;base64,iVBORw0KGgo="
TOOLS = [{"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}]
CITATION = {"type": "url_citation", "url_citation": {"url": "https://example.org", "title": "E"}}


def delta(**said: Any) -> bytes:
    return event({"model": "test-model", "choices": [{"index": 0, "delta": said}]})


def call(index: int, arguments: str, call_id: str | None = None) -> bytes:
    """A piece of a call; with an id, its first one."""
    said: dict[str, Any] = {"index": index, "function": {"arguments": arguments}}
    if call_id is not None:
        said |= {"id": call_id, "type": "function"}
        said["function"]["name"] = "look_up"
    return delta(tool_calls=[said])


REASONING = [delta(reasoning_content="Let me "), delta(reasoning_content="think.")]
CALLS = [
    call(0, '{"a', "call_a"),
    call(1, '{"b', "call_b"),
    call(0, '": 1}'),
    call(1, '": 2}'),
]
TOOL_CALLS = [
    {"index": 0, "id": "call_a", "name": "look_up", "arguments": '{"a": 1}'},
    {"index": 1, "id": "call_b", "name": "look_up", "arguments": '{"b": 2}'},
]


def _agree(client: Client, task_id: str) -> dict[str, Any]:
    """The record of a task that has ended, which says what its log and its last event say."""
    seen = client.events(task_id)
    folded = fold(event_of(each.data) for each in seen.logged)
    record = client.record(task_id)
    assert folded.closed
    assert folded.status.value == record["status"]
    assert folded.answer == answer_of(record, record["text"])
    return record


def test_every_kind_of_piece_comes_live_and_stays(service: Running, upstream: Upstream) -> None:
    said = [*REASONING, piece("Text"), delta(annotations=[CITATION]), *CALLS]
    upstream.then(Script([*said, finish("tool_calls"), USAGE, DONE]))
    task_id = service.client.start(options={"tools": TOOLS})
    seen = service.client.events(task_id)
    assert {"reasoning", "content", "tool_call", "end"} <= set(seen.types)
    first = next(each.data["data"] for each in seen.logged if each.type == "tool_call")
    assert first["index"] == 0
    assert (first["id"], first["name"]) == ("call_a", "look_up")
    record = _agree(service.client, task_id)
    assert record["reasoning"] == "Let me think."
    assert record["text"] == "Text"
    assert record["annotations"] == [CITATION]
    assert record["toolCalls"] == TOOL_CALLS
    assert record["finishReason"] == "tool_calls"
    assert record["refusal"] == ""
    assert record["valid"] is None


def test_a_refusal_is_text_that_says_so(service: Running, upstream: Upstream) -> None:
    upstream.then(Script([delta(refusal="I "), delta(refusal="will not."), finish(), USAGE, DONE]))
    task_id = service.client.start()
    record = service.client.wait_for(task_id, "completed")
    assert (record["text"], record["refusal"]) == ("I will not.", "I will not.")
    _agree(service.client, task_id)
    content = [
        each.data for each in service.client.events(task_id).logged if each.type == "content"
    ]
    assert all(each["refusal"] is True for each in content)


@pytest.mark.parametrize("lost", ["reasoning", "tool call", "refusal"])
def test_what_a_lost_attempt_said_does_not_count(
    retrying: Running, scripted: Upstream, lost: str
) -> None:
    before = {
        "reasoning": [delta(reasoning_content="lost ")],
        "tool call": [delta(reasoning_content="x"), call(0, '{"lost', "call_lost")],
        "refusal": [delta(refusal="lost")],
    }[lost]
    scripted.then(
        Script(before, cut=True),
        Script([*before, *before], cut=True),
        Script([REASONING[0], piece("Whole."), CALLS[0], finish("tool_calls"), USAGE, DONE]),
    )
    task_id = retrying.client.start()
    record = retrying.client.wait_for(task_id, "completed")
    assert record["attempt"] == 3
    assert (record["reasoning"], record["text"]) == ("Let me ", "Whole.")
    assert record["toolCalls"] == [{**TOOL_CALLS[0], "arguments": '{"a'}]
    assert _agree(retrying.client, task_id) == record


def test_a_cancelled_task_keeps_what_had_been_said(service: Running, upstream: Upstream) -> None:
    gate = Gate()
    upstream.then(Script([*REASONING, piece("Te"), CALLS[0], gate]))
    task_id = service.client.start()
    # Once the tool call is in the log, everything before it is.
    service.client.events(task_id, until=lambda seen: "tool_call" in seen.types)
    service.client.http.post(f"/api/tasks/{task_id}/cancel")
    record = _agree(service.client, task_id)
    assert record["status"] == TaskStatus.CANCELLED
    assert (record["reasoning"], record["text"]) == ("Let me think.", "Te")
    assert record["toolCalls"] == [{**TOOL_CALLS[0], "arguments": '{"a'}]


def test_messages_and_options_reach_the_model_as_they_are(
    service: Running, upstream: Upstream
) -> None:
    messages: list[dict[str, Any]] = [
        {"role": "developer", "content": "Be brief.", "name": "d"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": PNG, "detail": "low"}},
                {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
                {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
                {"type": "file", "file": {"file_data": PNG, "filename": "a.png"}},
                {"type": "of_tomorrow", "of_tomorrow": {"x": [1, None]}},
            ],
        },
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "7"},
    ]
    options = {
        "tools": TOOLS,
        "tool_choice": "auto",
        "parallel_tool_calls": False,
        "response_format": {"type": "json_object"},
        "reasoning_effort": "low",
        "top_p": 0.5,
        "stop": ["x"],
        "seed": 7,
        "service_tier": None,
        "of_a_vendor": {"deep": [True]},
    }
    task_id = service.client.start(None, messages=messages, system="S", options=options)
    service.client.wait_for(task_id, "completed")
    sent = upstream.received[0].body
    assert sent["messages"] == [{"role": "system", "content": "S"}, *messages]
    assert {name: sent[name] for name in options} == options
    assert sent.keys() - options.keys() == {"model", "messages", "stream", "stream_options"}
    assert service.client.record(task_id)["request"]["messages"] == messages
    assert service.client.record(task_id)["request"]["options"] == options


def test_a_tool_loop_goes_on_from_task_to_task(service: Running, upstream: Upstream) -> None:
    upstream.then(
        Script([*CALLS, finish("tool_calls"), USAGE, DONE]),
        Script([piece("Both are known."), finish(), USAGE, DONE]),
        Script([piece("Yes."), finish(), USAGE, DONE]),
    )
    first = service.client.start("Look both up.", system="S", options={"tools": TOOLS})
    service.client.wait_for(first, "completed")
    results = [{"role": "tool", "tool_call_id": each["id"], "content": "7"} for each in TOOL_CALLS]
    second = service.client.start(None, messages=results, previousTaskId=first)
    service.client.wait_for(second, "completed")
    third = service.client.start("Sure?", previousTaskId=second, system="Z")
    record = service.client.wait_for(third, "completed")
    called = [
        {
            "id": each["id"],
            "type": "function",
            "function": {"name": each["name"], "arguments": each["arguments"]},
        }
        for each in TOOL_CALLS
    ]
    so_far = [
        {"role": "user", "content": "Look both up."},
        {"role": "assistant", "content": None, "tool_calls": called},
        *results,
    ]
    assert upstream.received[1].body["messages"] == so_far
    history = [*so_far, {"role": "assistant", "content": "Both are known."}]
    assert upstream.received[2].body["messages"] == [
        {"role": "system", "content": "Z"},
        *history,
        {"role": "user", "content": "Sure?"},
    ]
    assert record["request"]["history"] == history
    assert record["request"]["prompt"] == "Sure?"
    assert record["request"]["previousTaskId"] == second


SCHEMA = {
    "type": "json_schema",
    "json_schema": {
        "name": "place",
        "schema": {
            "type": "object",
            "required": ["city"],
            "properties": {"city": {"type": "string"}},
        },
    },
}


@pytest.mark.parametrize(
    ("text", "reason", "valid"),
    [
        ('{"city": "Oslo"}', "stop", True),
        ('{"city": 7}', "stop", False),
        ("Oslo.", "stop", False),
        ('{"city": "Os', "length", None),
    ],
)
def test_the_record_says_whether_a_whole_answer_fits_its_schema(
    service: Running, upstream: Upstream, text: str, reason: str, valid: bool | None
) -> None:
    upstream.then(Script([piece(text), finish(reason), USAGE, DONE]))
    task_id = service.client.start(options={"response_format": SCHEMA})
    record = service.client.wait_for(task_id, "completed")
    assert record["valid"] is valid
    assert service.client.events(task_id).logged[-1].data.get("valid") is valid
    assert upstream.received[0].body["response_format"] == SCHEMA
    assert _agree(service.client, task_id)["text"] == text
