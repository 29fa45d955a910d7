"""What is odd in a chunk costs no answer. What the official client reads, is read."""

import json
from typing import Any

import pytest
from openai.types.chat import ChatCompletionChunk

from adapters.openai.chunks import ChunkStream
from application.ports import Finished
from domain.events import Usage
from tests.doubles.model import text_of
from tests.doubles.upstream import DONE, USAGE, event, finish, piece


def _read(*events: bytes, size: int = 10_000) -> tuple[str, Finished]:
    chunks, body = ChunkStream("m"), b"".join(events)
    fed = [chunks.feed(body[at : at + size]) for at in range(0, len(body), size)]
    return text_of([*fed, chunks.end()]), chunks.finished()


def _said(content: object) -> bytes:
    return event({"choices": [{"index": 0, "delta": {"content": content}}]})


@pytest.mark.parametrize(
    "odd",
    [
        *(b"data: %b\n\n" % each for each in (b"null", b"5", b'"ping"', b"[]", b"[5]", b"{}")),
        event({"error": {}}),
        event({"error": ""}),
        event({"error": None}),
        event({"choices": None}),
        event({"choices": [None]}),
        event({"choices": "x"}),
        event({"choices": [{"delta": None}]}),
        event({"choices": [{"delta": "x"}]}),
        event({"choices": [], "created": float("nan"), "x": [float("inf")]}),
        event({"choices": [], "model": 5}),
        event({"choices": [], "x": "\ud83d"}),
        event({"choices": [{"delta": {}, "finish_reason": 5}]}),
    ],
)
def test_it_is_passed_over(odd: bytes) -> None:
    assert _read(odd, piece("a"), odd, piece("b"), finish(), odd, DONE)[0] == "ab"


def test_text_in_an_odd_chunk_is_read() -> None:
    nan = event({"choices": [{"delta": {"content": "b"}, "logprobs": float("nan")}]})
    assert _read(piece("a"), nan, piece("c"), finish(), DONE)[0] == "abc"


@pytest.mark.parametrize(
    ("told", "usage"),
    [
        (None, None),
        (5.5, None),
        ("many", None),
        ({"prompt_tokens": 3, "completion_tokens": None, "total_tokens": None}, None),
        ({"prompt_tokens": 3.0, "completion_tokens": "5"}, Usage(3, 5, 8)),
        ({"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": None}, Usage(3, 5, 8)),
        ({"input_tokens": 3, "output_tokens": 5}, Usage(3, 5, 8)),
        (
            {
                "input_tokens": 3,
                "output_tokens": 5,
                "output_tokens_details": {"reasoning_tokens": 4},
            },
            Usage(3, 5, 8, 4),
        ),
        (
            {
                "prompt_tokens": 3,
                "completion_tokens": 5,
                "completion_tokens_details": {"reasoning_tokens": None},
            },
            Usage(3, 5, 8),
        ),
        (
            {
                "prompt_tokens": 3,
                "completion_tokens": 5,
                "prompt_tokens_details": {"cached_tokens": 2, "audio_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": 4},
            },
            Usage(3, 5, 8, 4, 2),
        ),
        (
            {"prompt_tokens": 3, "completion_tokens": 5, "prompt_cache_hit_tokens": 2},
            Usage(3, 5, 8, None, 2),
        ),
        (
            {"input_tokens": 3, "output_tokens": 5, "cache_read_input_tokens": 0},
            Usage(3, 5, 8, None, 0),
        ),
        (
            {"input_tokens": 3, "output_tokens": 5, "input_tokens_details": {"cached_tokens": 1}},
            Usage(3, 5, 8, None, 1),
        ),
        (
            {"prompt_tokens": 3, "completion_tokens": 5, "prompt_tokens_details": None}
            | {"cached_tokens": 3},
            Usage(3, 5, 8, None, 3),
        ),
    ],
)
def test_what_cannot_be_read_of_the_usage_is_left_out(told: object, usage: Usage | None) -> None:
    text, end = _read(piece("a"), finish(), event({"choices": [], "usage": told}), DONE)
    assert (text, end.usage) == ("a", usage)


def test_usage_that_is_told_twice() -> None:
    early = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}
    first = event({"choices": [{"delta": {"content": "a"}}], "usage": early})
    assert _read(first, finish(), USAGE, DONE)[1].usage == Usage(3, 5, 8)
    unread = event({"choices": [], "usage": {"total_tokens": "?"}})
    assert _read(first, finish(), USAGE, unread, DONE)[1].usage == Usage(3, 5, 8)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "ab"),
        ([{"type": "thinking", "thinking": []}, {"type": "text", "text": "b"}], "b"),
        (["a", "b"], "ab"),
        ({"type": "text", "text": "a"}, "a"),
        ([], ""),
    ],
)
def test_content_may_be_a_list_of_parts(content: object, text: str) -> None:
    assert _read(_said(content), finish(), DONE)[0] == text


def test_parts_that_are_not_carried_are_work() -> None:
    chunks = ChunkStream("m")
    assert chunks.feed(_said([{"type": "image_url", "image_url": {"url": "x"}}])) == ()
    assert chunks.worked


@pytest.mark.parametrize("size", [1, 7, 10_000])
@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        (["Hi \ud83d", "\ude00"], "Hi \U0001f600"),
        (["Hi \ud83d", "", "\ude00!"], "Hi \U0001f600!"),
        (["\ud83d", "\ude00\ud83d", "\ude01"], "\U0001f600\U0001f601"),
        (["Hi \ud83d"], "Hi \ufffd"),
        (["Hi \ud83d", "there"], "Hi \ufffdthere"),
        (["a", "\ude00b"], "a\ufffdb"),
        (["a\ud83d\ud83d", "\ude00"], "a\ufffd\U0001f600"),
    ],
)
@pytest.mark.parametrize("ending", [(finish(), DONE), (finish(),), (finish(), USAGE)])
def test_half_a_surrogate_pair(
    pieces: list[str], text: str, size: int, ending: tuple[bytes, ...]
) -> None:
    assert _read(*map(_said, pieces), *ending, size=size)[0] == text


@pytest.mark.parametrize("size", [1, 2, 3, 4, 10_000])
def test_a_byte_order_mark_and_blank_lines_come_first(size: int) -> None:
    body = (b"\xef\xbb\xbf", b"\r\n\n", piece("a"), finish(), DONE)
    assert _read(*body, size=size)[0] == "a"
    assert _read(body[0], *body[2:], size=size)[0] == "a"


@pytest.mark.parametrize("ending", [b"", b"\n", b"\r", b"\r\n", b"\r\n\r"])
def test_the_last_event_needs_no_empty_line(ending: bytes) -> None:
    last = event({"choices": [{"delta": {"content": "b"}, "finish_reason": "stop"}]}).rstrip()
    assert _read(piece("a"), last + ending)[0] == "ab"
    assert _read(piece("a"), DONE.rstrip() + ending)[1].reason == "stop"


def test_an_error_after_everything_was_said_costs_no_answer() -> None:
    late = event({"error": {"code": 500}})
    assert _read(piece("a"), finish(), USAGE, late)[1].usage == Usage(3, 5, 8)


@pytest.mark.parametrize(
    "chunk",
    [
        {"choices": [{"delta": {"content": "a"}, "finish_reason": ""}]},
        {"choices": [{"delta": {"content": "a"}}], "usage": {"prompt_tokens": 1.5}},
        {"choices": [{"delta": {"content": "a"}, "x": float("nan")}], "error": {}},
        {"choices": [{"delta": {"content": "a"}}], "model": None, "created": "now"},
    ],
)
def test_what_the_official_client_reads_is_read(chunk: dict[str, Any]) -> None:
    official = ChatCompletionChunk.construct(**json.loads(json.dumps(chunk)))
    assert _read(event(chunk), finish(), DONE)[0] == official.choices[0].delta.content
