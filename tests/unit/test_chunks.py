"""The parser of a streamed completion: the same text wherever the bytes are cut."""

import contextlib
import json
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.openai.chunks import ChunkStream
from adapters.openai.event_stream import EVENT_LIMIT
from application.errors import ModelRefused, ModelUnavailable
from application.ports import Finished
from application.transcript import Transcript
from domain.answer import Reasoning, Text, ToolCallDelta
from domain.events import Usage
from tests.doubles.model import text_of
from tests.doubles.upstream import DONE, USAGE, event, finish, piece


def _read(data: bytes, cuts: list[int] | None = None) -> tuple[str, Finished]:
    chunks = ChunkStream("asked-for")
    edges = [0, *sorted({cut % (len(data) + 1) for cut in cuts or []}), len(data)]
    text = text_of([chunks.feed(data[begin:end]) for begin, end in pairwise(edges)])
    return text, chunks.finished()


@given(
    words=st.lists(st.text(min_size=1), min_size=1, max_size=20),
    cuts=st.lists(st.integers(0, 10_000), max_size=30),
    ending=st.sampled_from([b"\n", b"\r\n", b"\r"]),
    space=st.sampled_from([b" ", b""]),
    comment=st.booleans(),
)
def test_any_cut_and_any_line_ending(
    words: list[str], cuts: list[int], ending: bytes, space: bytes, comment: bool
) -> None:
    body = b"".join(map(piece, words)) + finish("length") + USAGE + DONE
    body = body.replace(b"data: ", b"data:" + space)
    if comment:
        body = b": ping\n\n" + body.replace(b"\n\n", b"\n\n: ping\n\n", 1)
    text, finished = _read(body.replace(b"\n", ending), cuts)
    assert text == "".join(words)
    assert finished == Finished("length", "test-model", Usage(3, 5, 8))


@given(st.lists(st.integers(0, 100), max_size=10))
def test_data_over_several_lines_is_one_chunk(cuts: list[int]) -> None:
    chunk = json.dumps(
        {"choices": [{"delta": {"content": "x"}, "finish_reason": "stop"}]}, indent=1
    )
    body = "".join(f"data: {line}\r\n" for line in chunk.splitlines()) + "\r\n"
    assert _read(body.encode(), cuts)[0] == "x"


@given(st.binary(max_size=200))
def test_no_bytes_break_it(data: bytes) -> None:
    chunks = ChunkStream("m")
    try:
        chunks.feed(data)
        chunks.finished()
    except (ModelUnavailable, ModelRefused):
        pass


_NAMES = (
    *("choices", "delta", "message", "content", "finish_reason", "usage", "model", "error", "code"),
    *("tool_calls", "function", "custom", "function_call", "name", "arguments", "index", "id"),
    *("refusal", "annotations", "reasoning", "reasoning_details", "thinking", "text", "type"),
)
_anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=()), max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_NAMES), inner),
    max_leaves=12,
)
_deltas = st.dictionaries(st.sampled_from(_NAMES), _anything).map(
    lambda said: {"choices": [{"delta": said}]}
)


@given(st.lists(_anything | _deltas, max_size=4), st.lists(st.integers(0, 200), max_size=4))
def test_chunks_of_any_shape_are_pieces_or_a_fault_of_the_model(
    chunks: list[Any], cuts: list[int]
) -> None:
    body = b"".join(b"data: %b\n\n" % json.dumps(chunk).encode() for chunk in chunks)
    stream, transcript = ChunkStream("m"), Transcript("task_1_a", 1_000_000)
    edges = [0, *sorted({cut % (len(body) + 1) for cut in cuts}), len(body)]
    pieces = [stream.feed(body[begin:end]) for begin, end in pairwise(edges)]
    for item in (*pieces, stream.end()):
        assert all(isinstance(piece, Text | Reasoning | ToolCallDelta) for piece in item)
        for each in transcript.events(item, 1):
            msgspec.json.encode(each)  # so it is valid Unicode, and fits into a log
    with contextlib.suppress(ModelUnavailable, ModelRefused):
        msgspec.json.encode(stream.finished())


def test_what_is_no_piece_is_passed_over() -> None:
    body = (
        event({"choices": [{"delta": {"role": "assistant", "content": None}}]})
        + event({"choices": [{"delta": {"content": ""}}], "usage": None})
        + event({"choices": [{"delta": {"x": "hm"}, "logprobs": None}]})
        + event({"id": "x", "object": "y", "choices": [{"delta": {"content": "a"}}]})
        + b"event: ping\nid: 3\nretry: 10\n\n"
        + event({"choices": [{"delta": {"content": "b"}}]})
        + finish()
    )
    text, finished = _read(body)
    assert text == "ab"
    assert finished == Finished("stop", "asked-for", None)


def test_nothing_after_done_is_read() -> None:
    chunks = ChunkStream("m")
    assert chunks.feed(piece("a") + finish() + DONE + b"data: junk\n\n") == (Text("a"),)
    assert chunks.done


def test_an_answer_without_a_reason_or_done_broke_off() -> None:
    with pytest.raises(ModelUnavailable) as broke:
        _read(piece("a"))
    assert broke.value.code == "incomplete"


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        ({"code": "insufficient_quota"}, ModelRefused, "insufficient_quota"),
        ({"type": "rate_limit_error"}, ModelUnavailable, "rate_limited"),
        ({"code": 500}, ModelUnavailable, "model_error"),
        ("a text", ModelUnavailable, "model_error"),
    ],
)
def test_an_error_in_the_stream(error: object, kind: type[Exception], code: str) -> None:
    chunks = ChunkStream("m")
    assert chunks.feed(piece("a") + event({"error": error}) + piece("b")) == (Text("a"),)
    assert chunks.done
    with pytest.raises(kind) as raised:
        chunks.finished()
    assert getattr(raised.value, "code") == code  # noqa: B009


def test_an_event_without_end_is_bounded() -> None:
    chunks = ChunkStream("m")
    chunks.feed(b"x" * EVENT_LIMIT)
    assert not chunks.done
    chunks.feed(b"x")
    with pytest.raises(ModelUnavailable):
        chunks.finished()
