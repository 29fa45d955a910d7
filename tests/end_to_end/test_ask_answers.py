"""`longtask ask`: answers that are more than a text, and attempts that go on where one was lost."""

import json
from pathlib import Path
from typing import Any

import pytest

from entrypoints.client import reader
from tests.commands import invoke
from tests.doubles.native import (
    TASK,
    NativeService,
    content,
    end,
    reasoning,
    status_of,
    tool_call,
)
from tests.doubles.upstream import Script, Upstream, answer
from tests.processes import process_at_a_terminal
from tests.running import Running
from tests.waiting import within

HOSTILE = "\x1b]0;owned\x07\x9b31m"
SHOWN = r"\x1b]0;owned\x07\x9b31m"
CALL = {"index": 0, "id": "call_1", "name": "get_weather", "arguments": '{"city": "Paris"}'}
BEGIN = [status_of("pending", 0), status_of("running", 1)]


def asked(tmp_path: Path, service: NativeService, *words: str) -> Any:
    with service.running():
        return invoke(tmp_path, "ask", "Hi.", *words, "--server", service.url)


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "RECONNECT_PAUSE", 0.0)


def test_the_text_alone_goes_to_standard_output(tmp_path: Path) -> None:
    said = [
        reasoning("Let me think.\n"),
        reasoning("Done."),
        content("It is "),
        content("sunny."),
        tool_call(0, id="call_1", name="get_weather"),
        tool_call(1, '{"x"', id="call_2", name="other"),
        tool_call(0, '{"city": '),
        tool_call(0, '"Paris"}'),
    ]
    note = {"type": "file_citation", "file_id": "f"}
    cited = {"url": "https://example.org/", "title": "A page\nand more", "start_index": 0}
    rest = {
        "toolCalls": [CALL],
        "valid": False,
        "annotations": [{"type": "url_citation", "url_citation": cited}] * 2 + [note],
        "usage": {"completionTokens": 7, "reasoningTokens": 3, "estimated": True},
    }
    log = [*BEGIN, *said, status_of("completed", 1), end("It is sunny.", **rest)]
    without = asked(tmp_path, NativeService(log))
    assert (without.exit_code, without.stdout) == (0, "It is sunny.\n")
    assert "think" not in without.stderr
    shown = asked(tmp_path, NativeService(log), "--reasoning")
    assert (shown.exit_code, shown.stdout) == (0, "It is sunny.\n")
    assert shown.stderr.splitlines()[3:-1] == [
        "Let me think.",
        "Done.",
        "tool call get_weather: ",
        'tool call other: {"x"',
        'tool call get_weather (continued): {"city": "Paris"}',
        r"source: A page\x0aand more, https://example.org/",
        f"note: {json.dumps(note)}",
        "the answer does not fit the schema",
    ]
    assert shown.stderr.endswith(", about 7 tokens, 3 of them for reasoning\n")


@pytest.mark.parametrize(
    ("last", "status", "said"),
    [
        (end("", toolCalls=[CALL], finishReason="tool_calls"), 0, "tool_calls: m"),
        (end("", reasoning="Hm.", finishReason="length"), 1, "reason first"),
        (end("No.", refusal="No."), 0, "the model refused to answer"),
        (end("Yes. No.", refusal="No."), 0, "the model refused a part of it"),
        (end("", items=[{"type": "image_generation_call", "result": "aGk="}]), 0, "stop: m"),
        (end("{}", valid=True), 0, "stop: m"),
        (end("Half", finishReason="cancelled"), 130, "cancelled: m"),
    ],
)
def test_the_exit_status(tmp_path: Path, last: dict[str, Any], status: int, said: str) -> None:
    done = asked(tmp_path, NativeService([*BEGIN, last]))
    assert done.exit_code == status
    assert done.stdout == (f"{last['data']}\n" if last["data"] else "")
    assert said in done.stderr
    assert "does not fit" not in done.stderr


def test_each_event_is_a_line_of_json_and_comes_once(tmp_path: Path) -> None:
    log = [
        *BEGIN,
        reasoning(f"Hm {HOSTILE}"),
        tool_call(0, "{}", id="call_1", name="f"),
        status_of("pending", 1, reason="shutting_down"),
        {"type": "a kind of tomorrow", "data": ["x"]},
        status_of("running", 2, resumed=True),
        content("Yes\u2028 🌍"),
        end("Yes\u2028 🌍", valid=True),
    ]
    service = NativeService(log[:3], log[3:5], log[5:])
    done = asked(tmp_path, service, "--json")
    assert done.exit_code == 0
    assert done.stdout.isascii()
    lines = [json.loads(each) for each in done.stdout.split("\n")[:-1]]
    assert [each.pop("id") for each in lines] == [f"e-{n}" for n in range(1, len(log) + 1)]
    common = {"taskId", "timestamp"}
    assert [{k: v for k, v in each.items() if k not in common} for each in lines] == log
    assert service.resumed_after == ["", "e-3", "e-5"]
    assert done.stderr == f"task {TASK}\n"


def test_a_failure_is_a_line_of_json_too(tmp_path: Path) -> None:
    error = {"type": "error", "data": "No.", "code": "x", "retryable": False}
    done = asked(tmp_path, NativeService([*BEGIN, error]), "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout.splitlines()[-1])["code"] == "x"


@pytest.mark.soak
def test_only_an_attempt_that_begins_anew_takes_back_what_was_said(tmp_path: Path) -> None:
    log = [
        *BEGIN,
        tool_call(0, "{", id="call_1", name="f"),
        content("One "),
        status_of("pending", 1, reason="shutting_down"),
        status_of("running", 2, resumed=True),
        content("two."),
        tool_call(0, "}"),
        status_of("pending", 2, reason="connection_lost"),
        status_of("running", 3),
        tool_call(0, "[]", id="call_2", name="g"),
        content(f"Three{HOSTILE}"),
        end("Three"),
    ]
    service = NativeService(log)
    with (
        service.running(),
        process_at_a_terminal(tmp_path, "ask", "Hi.", "--server", service.url) as (
            process,
            terminal,
            said,
        ),
    ):
        assert terminal.rest() == f"One \ntwo.\nThree{SHOWN}\n"
        assert process.wait(within(10)) == 0
    assert said.read_text().splitlines()[1:-1] == [
        "pending",
        "running",
        "tool call f: {",
        "pending (shutting_down)",
        "going on: attempt 2",
        "tool call f (continued): }",
        "pending (connection_lost)",
        "starting over: attempt 3",
        "tool call g: []",
    ]


def test_what_is_asked_reaches_the_model(
    tmp_path: Path, service: Running, upstream: Upstream
) -> None:
    (tmp_path / "photo.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (tmp_path / "notes.txt").write_text("Of yesterday.")
    (tmp_path / "city.json").write_text('{"type": "object", "required": ["name"]}')
    upstream.then(Script(answer('{"name": "Paris"}')))
    words = ["--image", "photo.png", "--file", "notes.txt", "--schema", "city.json"]
    words += ["--system", "Be short.", "--option", "seed=7", "--option", "reasoning_effort=low"]
    done = invoke(tmp_path, "ask", "Where?", *words, "--server", service.url)
    assert (done.exit_code, done.stdout) == (0, '{"name": "Paris"}\n')
    (received,) = upstream.received
    system, user = received.body["messages"]
    assert system == {"role": "system", "content": "Be short."}
    assert [each["type"] for each in user["content"]] == ["image_url", "text", "text"]
    assert (received.body["seed"], received.body["reasoning_effort"]) == (7, "low")
    schema = received.body["response_format"]["json_schema"]
    assert schema == {"name": "city", "schema": {"type": "object", "required": ["name"]}}
    (task,) = (line[5:] for line in done.stderr.splitlines() if line.startswith("task "))
    done = invoke(tmp_path, "ask", "And?", "--previous", task, "--server", service.url)
    assert done.exit_code == 0
    roles = [each["role"] for each in upstream.received[1].body["messages"]]
    assert roles == ["user", "assistant", "user"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--option", "n=2"], "400: options.n: must be 1: a task has one answer"),
        (["--image", "http://x.org/a.png"], "must be a URL that begins with https:// or data:"),
        (["--previous", "task_1_unknown"], "There is no such previous task"),
    ],
)
def test_the_service_says_what_is_wrong(
    tmp_path: Path, service: Running, words: list[str], said: str
) -> None:
    done = invoke(tmp_path, "ask", "Hi.", *words, "--server", service.url)
    assert (done.exit_code, done.stdout) == (1, "")
    assert said in done.stderr
