"""The pieces in a stream: every name of reasoning, every kind, in the order in which they come."""

from typing import Any

import pytest

from adapters.openai.chunks import ChunkStream
from domain.answer import Piece, Reasoning, Text, ToolCallDelta
from tests.doubles.upstream import DONE, call, delta, event, finish, piece, reasoning


def _pieces(*events: bytes, size: int | None = None) -> list[Piece]:
    """What is fed at once, or in packets of so many bytes."""
    stream, body = ChunkStream("m"), b"".join(events)
    fed = [body] if size is None else [body[at : at + size] for at in range(0, len(body), size)]
    return [piece for data in fed for piece in stream.feed(data)] + list(stream.end())


def _detail(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": f"reasoning.{kind}", "format": "x", "index": 0, **fields}


SAME = "thoughts"
REASONING: dict[str, dict[str, Any]] = {
    "DeepSeek, vLLM, Qwen": {"reasoning_content": SAME, "content": None},
    "Ollama, Groq": {"reasoning": SAME, "content": ""},
    "two names": {"reasoning": SAME, "reasoning_content": SAME},
    "OpenRouter": {"reasoning": SAME, "reasoning_details": [_detail("text", text=SAME)]},
    "OpenRouter's details": {"reasoning_details": [_detail("text", text=SAME, signature=None)]},
    "OpenRouter's summary": {"reasoning_details": [_detail("summary", summary=SAME)]},
    "two details": {
        "reasoning_details": [_detail("text", text="thou"), _detail("text", text="ghts")]
    },
    "LiteLLM": {
        "reasoning_content": SAME,
        "thinking_blocks": [{"type": "thinking", "thinking": SAME, "signature": ""}],
    },
    "LiteLLM's blocks": {"thinking_blocks": [{"type": "thinking", "thinking": SAME}]},
    "thinking": {"thinking": SAME},
    "Envoy": {"reasoning_content": {"text": SAME}},
    "Mistral": {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": SAME}]}]},
    "Mistral, and a name": {
        "content": [{"type": "thinking", "thinking": [{"type": "text", "text": SAME}]}],
        "reasoning": SAME,
    },
    "a part": {"content": [{"type": "reasoning", "text": SAME}]},
    "a summary of a part": {"content": [{"type": "reasoning", "summary": [{"text": SAME}]}]},
}


@pytest.mark.parametrize("server", REASONING)
def test_reasoning_under_every_name_is_taken_once(server: str) -> None:
    assert _pieces(delta(**REASONING[server])) == [Reasoning(SAME)]


@pytest.mark.parametrize(
    "fields",
    [
        {"reasoning_details": [_detail("encrypted", data="gAAAAA")]},
        {"thinking_blocks": [{"type": "redacted_thinking", "data": "gAAAAA"}]},
        {"reasoning_details": [_detail("text", text="", signature="abc")]},
    ],
)
def test_secret_reasoning_is_work_without_a_piece(fields: dict[str, Any]) -> None:
    stream = ChunkStream("m")
    assert stream.feed(delta(**fields)) == ()
    assert stream.worked
    [name] = stream.left_out
    assert name.split(".")[1] in ("data", "signature")
    stream.feed(delta(content=""))
    assert not stream.worked


def test_kinds_keep_their_order_and_neighbours_are_joined() -> None:
    events = [
        *(reasoning("hm"), reasoning(", ", "reasoning"), reasoning("yes")),
        *(piece("a"), piece("b"), delta(refusal="no"), delta(refusal="!"), piece("c")),
        *(call(0, "", "x", "f"), call(0, "{"), call(0, "}"), call(1, "", "y", "g"), call(0, " ")),
        piece("d"),
    ]
    assert _pieces(*events, finish("tool_calls"), DONE) == [
        Reasoning("hm, yes"),
        Text("ab"),
        Text("no!", refusal=True),
        Text("c"),
        ToolCallDelta(0, "{}", "x", "f"),
        ToolCallDelta(1, "", "y", "g"),
        ToolCallDelta(0, " "),
        Text("d"),
    ]


def test_a_delta_may_hold_all_kinds() -> None:
    calls = [{"index": 0, "id": "x", "function": {"name": "f", "arguments": "{}"}}]
    said = delta(tool_calls=calls, refusal="r", content="c", reasoning_content="t")
    assert _pieces(said, delta(content="d")) == [
        Reasoning("t"),
        Text("c"),
        Text("r", refusal=True),
        ToolCallDelta(0, "{}", "x", "f"),
        Text("d"),
    ]


CITATION = {
    "type": "url_citation",
    "url_citation": {"url": "https://e", "title": "\u00e9", "start_index": 0, "x": [1.5, None]},
}


def test_annotations_go_with_the_text_before_them() -> None:
    assert _pieces(piece("a"), delta(annotations=[CITATION]), piece("b")) == [
        Text("ab", annotations=(CITATION,))
    ]
    assert _pieces(delta(content="a", annotations=[CITATION, CITATION])) == [
        Text("a", annotations=(CITATION, CITATION))
    ]
    assert _pieces(delta(annotations=[CITATION]), size=9) == [Text("", annotations=(CITATION,))]
    assert _pieces(delta(refusal="no", annotations=[CITATION])) == [Text("no", True, (CITATION,))]
    part = {"type": "text", "text": "a", "annotations": [CITATION]}
    assert _pieces(delta(content=[part])) == [Text("a", annotations=(CITATION,))]
    assert _pieces(reasoning("t"), delta(annotations=[CITATION])) == [
        Reasoning("t"),
        Text("", annotations=(CITATION,)),
    ]


def test_annotations_that_no_log_can_keep_are_left_out() -> None:
    deep: Any = {}
    for _ in range(101):
        deep = {"a": deep}
    stream = ChunkStream("m")
    assert stream.feed(delta(content="a", annotations=[deep, 5, CITATION])) == (
        Text("a", annotations=(CITATION,)),
    )
    assert stream.left_out == {"annotations"}
    nan = delta(content="b", annotations=[{"a": float("nan"), "b": "\ud83d"}])
    assert stream.feed(nan) == (Text("b", annotations=({"a": None, "b": "\ufffd"},)),)


@pytest.mark.parametrize("size", [1, 11, None])
def test_half_a_surrogate_pair_waits_for_its_kind(size: int | None) -> None:
    events = [
        *(delta(content="a\ud83d"), delta(reasoning_content="r\ud83d"), delta(refusal="n\ud83d")),
        *(call(0, "\ud83d", "i", "f"), call(1, "x", "j", "g"), delta(content="")),
        *(call(0, "\ude00"), delta(refusal="\ude01"), reasoning("!"), delta(content="\ude02b")),
    ]
    pieces = _pieces(*events, finish(), DONE, size=size)
    text = "".join(each.text for each in pieces if isinstance(each, Text) and not each.refusal)
    assert text == "a\U0001f602b"
    assert "".join(each.text for each in pieces if isinstance(each, Reasoning)) == "r\ufffd!"
    refused = [each.text for each in pieces if isinstance(each, Text) and each.refusal]
    assert "".join(refused) == "n\U0001f601"
    calls = [each for each in pieces if isinstance(each, ToolCallDelta)]
    assert "".join(each.arguments for each in calls if each.index == 0) == "\U0001f600"
    assert [(each.id, each.name) for each in calls][:2] == [("i", "f"), ("j", "g")]


@pytest.mark.parametrize("ending", [b"", finish() + DONE])
def test_halves_that_stay_alone_are_replaced(ending: bytes) -> None:
    said = [delta(content="a\ud83d"), call(0, "\ud83d", "i", "f"), reasoning("t")]
    assert _pieces(*said, ending) == [
        Text("a"),
        ToolCallDelta(0, "", "i", "f"),
        Reasoning("t"),
        Text("\ufffd"),
        ToolCallDelta(0, "\ufffd"),
    ]


NOT_CARRIED: dict[str, bytes] = {
    "audio": delta(audio={"id": "a", "data": "UklGRg=="}),
    "images": delta(images=[{"type": "image_url", "image_url": {"url": "data:image/png;base64,"}}]),
    "content[].image_url": delta(content=[{"type": "image_url", "image_url": {"url": "x"}}]),
    "content[]": delta(content=[{"type": "<Secret words>"}]),
    "logprobs": event(
        {"choices": [{"delta": {"content": ""}, "logprobs": {"content": [{"token": "a"}]}}]}
    ),
    "choices": event({"choices": [{"index": 1, "delta": {"content": "b"}}]}),
    "citations": event({"choices": [], "citations": ["https://e"]}),
    "search_results": event({"choices": [], "search_results": [{"url": "https://e"}]}),
    "tool_calls[].extra_content": delta(
        tool_calls=[{"index": 0, "extra_content": {"google": {"thought_signature": "x"}}}]
    ),
    "reasoning_details[].data": delta(reasoning_details=[_detail("encrypted", data="x")]),
    "thinking_blocks[].signature": delta(thinking_blocks=[{"thinking": "", "signature": "x"}]),
}


@pytest.mark.parametrize("name", NOT_CARRIED)
def test_what_is_not_carried_is_named(name: str) -> None:
    stream = ChunkStream("m")
    pieces = [*stream.feed(NOT_CARRIED[name] + piece("a") + finish()), *stream.feed(DONE)]
    assert [each for each in pieces if isinstance(each, Text)] == [Text("a")]
    assert stream.left_out == {name}
    assert stream.finished().reason == "stop"


def test_what_is_empty_is_not_named() -> None:
    stream = ChunkStream("m")
    empty: dict[str, Any] = {"audio": None, "images": [], "annotations": [], "function_call": None}
    choice = {"delta": {**empty, "content": "a"}, "logprobs": {"content": None, "refusal": None}}
    assert stream.feed(event({"choices": [choice], "citations": None})) == (Text("a"),)
    assert not stream.left_out


def test_only_choice_0_is_the_answer() -> None:
    two = [{"index": 1, "delta": {"content": "b"}}, {"index": 0, "delta": {"content": "a"}}]
    other = {"choices": [{"index": 1, "delta": {}, "finish_reason": "length"}]}
    stream = ChunkStream("m")
    assert stream.feed(event({"choices": two}) + event(other) + finish() + DONE) == (Text("a"),)
    assert stream.finished().reason == "stop"


def test_a_whole_answer_has_every_kind() -> None:
    message = {
        "role": "assistant",
        "content": "c",
        "refusal": "r",
        "reasoning_content": "t",
        "annotations": [CITATION],
        "tool_calls": [
            {"id": "x", "type": "function", "function": {"name": "f", "arguments": "{}"}},
            {"id": "x", "type": "function", "function": {"name": "f", "arguments": "[]"}},
        ],
    }
    whole = {"choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]}
    assert _pieces(event(whole).removeprefix(b"data: ")) == [
        Reasoning("t"),
        Text("c"),
        Text("r", True, (CITATION,)),
        ToolCallDelta(0, "{}", "x", "f"),
        ToolCallDelta(1, "[]", "x", "f"),
    ]
