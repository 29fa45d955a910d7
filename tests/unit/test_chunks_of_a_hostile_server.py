"""What a model's server may put into a chunk to break its reader: depth, counts that are none."""

import json
import time

import pytest

from adapters.openai.chunks import WORDS_LIMIT, ChunkStream
from adapters.openai.oddities import ANNOTATIONS_LIMIT, NAMES_LIMIT
from adapters.openai.pieces import PIECES_LIMIT
from adapters.openai.reports import read_report
from adapters.openai.usage import COUNT_LIMIT
from application.errors import ModelRefused, ModelUnavailable
from domain.answer import Text, ToolCallDelta
from domain.events import Usage
from tests.doubles.model import text_of
from tests.doubles.upstream import DONE, delta, event, finish, piece

PLACES = {
    "a field that is not read": b'{"x":%b}',
    "a field of a delta that is not read": b'{"choices":[{"delta":{"x":%b}}]}',
    "choices": b'{"choices":%b}',
    "content": b'{"choices":[{"delta":{"content":%b}}]}',
    "reasoning": b'{"choices":[{"delta":{"reasoning_details":%b}}]}',
    "tool calls": b'{"choices":[{"delta":{"tool_calls":%b}}]}',
    "usage": b'{"usage":%b}',
    "a count": b'{"usage":{"total_tokens":%b}}',
    "an error": b'{"error":%b}',
    "the code of an error": b'{"error":{"code":%b}}',
    "the type of an error": b'{"error":{"type":%b}}',
}
SHAPES = {"lists": (b"[", b"]", b""), "objects": (b'{"a":', b"}", b"1"), "open": (b"[", b"", b"")}


@pytest.mark.parametrize("depth", [100, 800, 1_000, 2_000, 100_000])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("place", PLACES)
def test_depth_is_a_fault_of_the_model_or_none(place: str, shape: str, depth: int) -> None:
    begin, end, inmost = SHAPES[shape]
    nested = begin * depth + inmost + end * depth
    chunks = ChunkStream("m")
    assert chunks.feed(piece("a") + b"data: %b\n\n" % (PLACES[place] % nested))[0] == Text("a")
    chunks.feed(finish() + DONE)
    fault = _fault(chunks)
    assert fault in ("invalid_response", "model_error") or (fault is None and depth < 2_000)


def _fault(chunks: ChunkStream) -> str | None:
    try:
        chunks.finished()
    except (ModelUnavailable, ModelRefused) as fault:
        return fault.code
    return None


COUNTS = {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}


def _usage(told: object) -> Usage | None:
    chunks = ChunkStream("m")
    chunks.feed(finish() + event({"choices": [], "usage": told}) + DONE)
    return chunks.finished().usage


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize(
    "count", [-1, -(10**30), COUNT_LIMIT + 1, 10**30, None, "x", "8.5", 8.5, True, [], {}, [8]]
)
def test_a_count_that_cannot_be_follows_from_the_others(name: str, count: object) -> None:
    assert _usage({**COUNTS, name: count}) == Usage(3, 5, 8)
    others = dict.fromkeys(COUNTS.keys() - {name}, count)
    assert _usage({**COUNTS, **others}) is None


@pytest.mark.parametrize("told", [[], "8", 8, {}, dict.fromkeys(COUNTS, 0), None])
def test_usage_that_counts_nothing_is_none(told: object) -> None:
    assert _usage(told) is None


def test_counts_that_are_left_away_follow_from_the_others() -> None:
    assert _usage(COUNTS) == Usage(3, 5, 8)
    assert _usage({"prompt_tokens": 3, "completion_tokens": 5}) == Usage(3, 5, 8)
    assert _usage({**COUNTS, "total_tokens": COUNT_LIMIT}) == Usage(3, 5, COUNT_LIMIT)


def test_an_event_in_many_pieces_costs_as_much_as_in_one() -> None:
    """Each piece was joined to all before it: 9 MB in 1 KB pieces took seconds."""

    def seconds(size: int) -> float:
        stream = ChunkStream("m")
        began = time.process_time()
        for _ in range(size // 512):
            stream.feed(b"x" * 512)
        return time.process_time() - began

    assert min(seconds(6_000_000) for _ in range(3)) < 1.5


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1_000])
def test_however_an_event_is_cut_it_is_the_same(size: int) -> None:
    chunk = json.dumps({"choices": [{"delta": {"content": "a"}, "finish_reason": "stop"}]}).encode()
    for ending in (b"\n", b"\r\n", b"\r"):
        whole = (b": comment" + ending * 2 + b"data: " + chunk + ending * 2) * 3
        stream = ChunkStream("m")
        fed = [stream.feed(whole[at : at + size]) for at in range(0, len(whole), size)]
        assert text_of([*fed, stream.feed(ending)]) == "aaa"
        assert stream.finished().reason == "stop"


def test_lists_of_lists_are_not_all_read() -> None:
    """They say nothing, and there may be millions in one event."""
    body: object = []
    for _ in range(4):
        body = [body] * 50
    began = time.process_time()
    assert read_report(body).words == ""
    assert time.process_time() - began < 2.0


def test_a_deep_place_of_a_fault_is_not_told() -> None:
    """Its text has no end that Python's stack could hold."""
    place: object = []
    for _ in range(100_000):
        place = [place]
    words = read_report({"detail": [{"msg": "No.", "loc": ["body", 0, place]}]}).words
    assert words == "body.0: No."


def test_one_event_does_not_occupy_the_process() -> None:
    """Each annotation was searched a hundred times over: 40,000 of them took two seconds."""
    stream = ChunkStream("m")
    began = time.process_time()
    (said,) = stream.feed(delta(content="a", annotations=[{"a": 1}] * 40_000))
    assert time.process_time() - began < 1.2
    assert isinstance(said, Text)
    assert len(said.annotations) == ANNOTATIONS_LIMIT
    assert stream.left_out == {"annotations"}


@pytest.mark.soak
@pytest.mark.parametrize("item", ["{}", "[]", '{"index":0}', '{"type":"thinking"}', '{"a":[]}'])
@pytest.mark.parametrize(
    "chunk",
    [
        '{"choices":[%s]}',
        '{"choices":[{"delta":{"content":[%s]}}]}',
        '{"choices":[{"delta":{"reasoning_details":[%s]}}]}',
        '{"choices":[{"delta":{"tool_calls":[%s]}}]}',
        '{"choices":[{"delta":{"content":"a","annotations":[{"a":[%s]}]}}]}',
        '{"error":[%s]}',
    ],
)
def test_an_event_of_millions_of_values_is_not_decoded(chunk: str, item: str) -> None:
    """They are no pieces, so no other bound counts them: 8 MB took up to nine seconds."""
    stream = ChunkStream("m")
    payload = (chunk % ",".join([item] * (8_000_000 // len(item + ",")))).encode()
    began = time.process_time()
    assert stream.feed(b"data: %b\n\n" % payload) == ()
    assert time.process_time() - began < 2.0
    assert _fault(stream) == "invalid_response"


@pytest.mark.parametrize("name", ["content", "tool_calls"])
def test_brackets_within_a_text_are_no_values(name: str) -> None:
    text = "[{" * 150_000
    said = text if name == "content" else [{"index": 0, "function": {"arguments": text}}]
    expected = Text(text) if name == "content" else ToolCallDelta(0, text)
    assert ChunkStream("m").feed(delta(**{name: said})) == (expected,)


def test_a_server_may_repeat_the_tokens_of_a_long_prompt() -> None:
    chunk = {"prompt_token_ids": [7] * 1_000_000, "choices": [{"delta": {"content": "a"}}]}
    assert ChunkStream("m").feed(event(chunk)) == (Text("a"),)


def test_an_event_of_too_many_pieces_is_unreadable() -> None:
    stream = ChunkStream("m")
    parts = [{"type": "text", "text": "a"}, {"type": "thinking", "thinking": "b"}]
    assert len(stream.feed(delta(content=parts * (PIECES_LIMIT // 2)))) == PIECES_LIMIT
    stream.feed(delta(content=parts * PIECES_LIMIT))
    assert _fault(stream) == "invalid_response"


def test_numbers_of_thousands_of_digits_are_not_read() -> None:
    """Each is read, measured, and written for the log and its readers: 8 MB took seconds."""
    numbers = b"[" + b",".join([b"7" * 4_000] * 2_000) + b"]"
    stream = ChunkStream("m")
    began = time.process_time()
    chunk = b'{"choices":[{"delta":{"content":"a","annotations":[{"n":[1,2e0],"many":%b}]}}]}'
    (said,) = stream.feed(b"data: %b\n\n" % (chunk % numbers))
    assert time.process_time() - began < 1.5
    assert isinstance(said, Text)
    assert said.annotations == ({"n": [1, 2.0], "many": [None] * 2_000},)


def test_arguments_in_the_form_of_an_object_are_valid_json() -> None:
    call_ = b'{"index":0,"function":{"name":"f","arguments":{"a":1e999,"b":-1e999,"c":1e2}}}'
    (said,) = ChunkStream("m").feed(
        b'data: {"choices":[{"delta":{"tool_calls":[%b]}}]}\n\n' % call_
    )
    assert said == ToolCallDelta(0, '{"a": null, "b": null, "c": 100.0}', name="f")


def test_reasons_and_names_of_models_are_cut() -> None:
    stream = ChunkStream("m")
    stream.feed(event({"model": "m" * 1_000_000, "choices": []}) + finish("r" * 1_000_000) + DONE)
    finished = stream.finished()
    assert (finished.reason, finished.model) == ("r" * WORDS_LIMIT, "m" * WORDS_LIMIT)


def test_names_of_what_is_left_out_do_not_add_up_for_ever() -> None:
    """A server makes them up: the kinds of the parts of its content."""
    stream = ChunkStream("m")
    for number in range(1_000):
        stream.feed(delta(content=[{"type": f"kind_{number}"}]))
    assert len(stream.left_out) == NAMES_LIMIT
