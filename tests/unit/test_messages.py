"""Messages and options: what OpenAI's client may send is accepted as it is, and what is wrong is
named by its path."""

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletionMessageParam
from pydantic import TypeAdapter

from domain.answer import DEPTH_LIMIT, Answer, ToolCall
from domain.messages import PARTS_LIMIT, answer_message
from domain.options import REFUSED_OPTIONS
from domain.request import FAULTS_LIMIT, RequestBounds, TaskRequest

PIXEL = "data:image/png;base64," + base64.b64encode(b"pixel").decode()
CALL = {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": "{}"}}
CUSTOM = {"id": "call_2", "type": "custom", "custom": {"name": "run", "input": "ls"}}
CALLS = {"role": "assistant", "tool_calls": [CALL, CUSTOM]}


def part(kind: str, value: object) -> dict[str, Any]:
    return {"type": kind, kind: value}


def user(*parts: object) -> dict[str, Any]:
    return {"role": "user", "content": list(parts)}


def image(url: object) -> dict[str, Any]:
    return user(part("image_url", {"url": url}))


def faults(*messages: Any, **bounds: Any) -> dict[str, str]:
    request = TaskRequest(model="m", messages=messages)
    return {each.field: each.message for each in request.faults(RequestBounds(**bounds))}


def option_faults(options: dict[str, Any], **bounds: Any) -> dict[str, str]:
    request = TaskRequest(model="m", prompt="x", options=options)
    return {each.field: each.message for each in request.faults(RequestBounds(**bounds))}


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "system", "content": "S", "name": "s"}, {"role": "user", "content": "U"}],
        [{"role": "developer", "content": [part("text", "D")]}],
        [user(part("text", "T"), part("image_url", {"url": PIXEL, "detail": "low"}))],
        [image("https://user:word@example.org:8443/cat.png?x=1#y")],
        [user(part("input_audio", {"data": "QUJD", "format": "wav"}))],
        [user(part("file", {"file_data": PIXEL, "filename": "a.pdf"}))],
        [user(part("file", {"file_id": "file-1"}))],
        [{"role": "assistant", "content": ""}],
        [{"role": "assistant", "content": None, "refusal": "No."}],
        [{"role": "assistant", "content": [part("refusal", "No.")]}],
        [{"role": "assistant", "audio": {"id": "audio_1"}}],
        [{"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}}],
        [
            CALLS,
            {"role": "tool", "tool_call_id": "call_2", "content": ""},
            {"role": "tool", "tool_call_id": "call_1", "content": [part("text", "4")]},
        ],
        [{"role": "function", "name": "f", "content": None}],
    ],
)
def test_what_openais_client_may_send_is_accepted(messages: list[Any]) -> None:
    for each in messages:
        TypeAdapter(ChatCompletionMessageParam).validate_python(each)
    assert faults(*messages) == {}


@pytest.mark.parametrize(
    "message",
    [
        user({"type": "video_url", "video_url": {"url": "https://example.org/a.mp4"}}),
        user({"type": "document", "source": {"kind": 1}, "url": None}),
        user(part("image_url", "https://example.org/as-some-servers-have-it.png")),
        {"role": "assistant", "content": "T", "reasoning_content": "R", "tool_calls": []},
    ],
)
def test_what_vendors_have_of_their_own_is_passed_on(message: Any) -> None:
    assert faults(message) == {}


@pytest.mark.parametrize(
    ("message", "field", "message_in_words"),
    [
        ({"content": "x"}, "role", "is required"),
        ({"role": ["user"], "content": "x"}, "role", "must be one of"),
        ({"role": "user"}, "content", "is required"),
        ({"role": "user", "content": None}, "content", "must not be null"),
        ({"role": "user", "content": " "}, "content", "must not be empty"),
        ({"role": "user", "content": []}, "content", "must not be empty"),
        ({"role": "user", "content": 5}, "content", "must be a string or an array"),
        ({"role": "assistant", "content": None, "tool_calls": []}, "content", "must not be null"),
        ({"role": "assistant", "content": "x", "tool_calls": {}}, "tool_calls", "must be an array"),
        ({"role": "assistant", "tool_calls": [1]}, "tool_calls[0]", "must be an object"),
        ({"role": "assistant", "tool_calls": [{}]}, "tool_calls[0].id", "is required"),
        ({"role": "assistant", "tool_calls": [{"id": 1}]}, "tool_calls[0].id", "must be a string"),
        ({"role": "tool", "content": "x"}, "tool_call_id", "is required"),
        ({"role": "tool", "content": "x", "tool_call_id": 1}, "tool_call_id", "must be a string"),
        (user("x"), "content[0]", "must be an object"),
        (user({}), "content[0].type", "is required"),
        (user({"type": {}}), "content[0].type", "must be a string"),
        (user(part("text", None)), "content[0].text", "must be a string"),
        (user({"type": "image_url"}), "content[0].image_url", "is required"),
        (user(part("image_url", [])), "content[0].image_url", "must be an object"),
        (user(part("image_url", {})), "content[0].image_url.url", "is required"),
        (image(5), "content[0].image_url.url", "must be a string"),
        (user(part("input_audio", {})), "content[0].input_audio.data", "is required"),
        (user(part("file", "x")), "content[0].file", "must be an object"),
    ],
)
def test_each_fault_of_a_message_is_named(message: Any, field: str, message_in_words: str) -> None:
    found = faults({"role": "user", "content": "Hi."}, message)
    assert list(found) == [f"messages[1].{field}"]
    assert message_in_words in found[f"messages[1].{field}"]


@pytest.mark.parametrize(
    "url",
    [
        *("", "cat.png", "//example.org/a", "https://", "https:///a", "https://a b"),
        *("http://example.org", "file:///etc/passwd", "gs://b/o", "https://a\n", "https://:443/"),
        *("data:", "data:image/png", "data:image/png;base64", "data:image/png;base64,"),
        *("data:image/png,abc", "data:image/png;base64,@", "data:image/png;base64,QUJ"),
        *("DATA:image/png;base64,QUJD=", "data:image/png;base64,é", f"https://a/{'x' * 16_384}"),
    ],
)
def test_a_broken_media_url_is_refused(url: str) -> None:
    assert list(faults(image(url))) == ["messages[0].content[0].image_url.url"]
    assert list(faults(user({"type": "x", "any_url": {"url": url}}))) == [
        "messages[0].content[0].any_url.url"
    ]
    # Here it would be plain base64, unless it is a URL.
    if ":" in url[:5]:
        file = user(part("file", {"file_data": url}))
        assert list(faults(file)) == ["messages[0].content[0].file.file_data"]


def test_a_data_url_may_escape_what_base64_has() -> None:
    assert faults(image("data:image/png;base64,%2B%2fA%3D")) == {}


def test_http_is_allowed_by_a_setting() -> None:
    assert faults(image("http://example.org/cat.png"), http_media=True) == {}
    assert faults(image("file:///cat.png"), http_media=True)


def test_a_result_follows_its_call() -> None:
    result = {"role": "tool", "tool_call_id": "call_1", "content": "4"}
    wrong = {"messages[1].tool_call_id": "must be the id of a tool call in a message before it"}
    assert faults(CALLS, result) == {}
    assert faults(user(part("text", "x")), result) == wrong
    assert list(faults(result, CALLS)) == ["messages[0].tool_call_id"]
    # It may be a call of the task before, of which nothing is known yet.
    request = TaskRequest(model="m", messages=(result,), previous_task_id="task_1_a")
    assert request.faults() == []


@pytest.mark.parametrize(
    ("options", "fields"),
    [
        (
            {"tools": [], "reasoning_effort": "low", "n": 1, "stop": None, "modalities": ["text"]},
            [],
        ),
        ({"audio": None, "logprobs": False, "function_call": None, "x_vendor": {"a": [1]}}, []),
        ({"model": "m", "max_completion_tokens": 5, "maxTokens": 5}, "all"),
        ({"messages": [], "temperature": None, "metadata": {}, "previousTaskId": "a"}, "all"),
        ({"stream": True, "stream_options": None}, "all"),
        ({"n": 2, "modalities": ["text", "audio"], "audio": {}, "functions": []}, "all"),
        ({"n": True, "logprobs": True, "top_logprobs": 0, "function_call": "auto"}, "all"),
        (dict.fromkeys(each.replace("*", "headers") for each in REFUSED_OPTIONS), "all"),
    ],
)
def test_options_are_refused_by_name(options: dict[str, Any], fields: list[str] | str) -> None:
    assert list(option_faults(options)) == (
        [f"options.{each}" for each in options] if fields == "all" else fields
    )


def test_the_operator_chooses_the_options_that_are_refused() -> None:
    options = {"api_base": "x", "seed": 1, "top_k": 5}
    assert list(option_faults(options, refused_options=("top_*", "see"))) == ["options.top_k"]
    assert list(option_faults(options, refused_options=("*",))) == [
        f"options.{each}" for each in options
    ]


def test_amounts_are_bounded() -> None:
    many = user(*[part("text", "x")] * (PARTS_LIMIT + 1))
    assert list(faults(many)) == ["messages"]
    assert list(option_faults({f"o{number}": 1 for number in range(1_001)})) == ["options"]
    assert len(TaskRequest(model="m", messages=(1,) * 500).faults()) == FAULTS_LIMIT  # type: ignore[arg-type]
    deep: Any = 1
    for _ in range(DEPTH_LIMIT):
        deep = [deep]
    assert list(option_faults({"a": deep})) == ["options"]
    assert option_faults({"a": deep[0]}) == {}
    name = "x" * 1_000_000 + "url"
    (field,) = faults(user({"type": "x", name: "no"}))
    assert len(field) < 200


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
KINDS = st.sampled_from(["text", "refusal", "image_url", "input_audio", "file", "x_url"])
URLS = st.sampled_from(["https://a", "data:,", PIXEL]) | VALUES
PARTS = st.fixed_dictionaries(
    {},
    optional={
        "type": KINDS | VALUES,
        **dict.fromkeys(("text", "refusal"), VALUES),
        **dict.fromkeys(
            ("image_url", "input_audio", "file", "x_url"),
            URLS | st.dictionaries(st.sampled_from(["url", "data", "file_data"]), URLS),
        ),
    },
)
MESSAGES = st.fixed_dictionaries(
    {},
    optional={
        "role": st.sampled_from(["system", "user", "assistant", "tool", "function"]) | VALUES,
        "content": st.lists(PARTS | VALUES, max_size=3) | VALUES,
        "tool_calls": st.lists(st.fixed_dictionaries({"id": VALUES}), max_size=2) | VALUES,
        "tool_call_id": VALUES,
    },
)


@given(st.lists(MESSAGES | VALUES, max_size=4), st.dictionaries(st.text(max_size=5), VALUES))
def test_any_json_is_accepted_or_has_faults(messages: list[Any], options: dict[str, Any]) -> None:
    request = TaskRequest(model="m", messages=tuple(messages), options=options)
    for each in request.faults():
        assert each.field.split(".")[0].split("[")[0] in ("messages", "options", "prompt")
    if not request.faults():
        assert request.tokens() >= 0
        assert request.size() > 0


def test_an_answer_continues_as_a_message() -> None:
    whole = ToolCall(0, "call_1", "add", '{"a": 1}')
    cut = ToolCall(1, "call_2", "add", '{"a": ')
    answer = Answer("Text.", reasoning="R", tool_calls=(whole, cut))

    def calls_of(reason: str) -> list[str]:
        message = answer_message(answer, reason)
        assert message is not None
        assert message["content"] == "Text."
        assert message.keys() <= {"role", "content", "tool_calls"}
        return [each["id"] for each in message.get("tool_calls", ())]

    assert calls_of("tool_calls") == ["call_1", "call_2"]
    assert calls_of("length") == calls_of("eos") == ["call_1"]
    assert calls_of("cancelled") == []
    assert answer_message(Answer(reasoning="R"), "stop") is None
    no_arguments = answer_message(Answer(tool_calls=(ToolCall(0, "c", "now", ""),)), "tool_calls")
    assert no_arguments is not None
    assert no_arguments["tool_calls"][0]["function"]["arguments"] == "{}"
    assert no_arguments["content"] is None
