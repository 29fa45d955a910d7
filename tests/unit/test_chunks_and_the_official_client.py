"""What a task keeps of an answer is what OpenAI's official client makes of the same bytes."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import httpx2
import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletionChunk

from adapters.openai.chunks import ChunkStream
from application.transcript import Transcript
from domain.answer import ToolCall
from domain.events import ContentAdded, Event, StatusChanged, TaskEnded, TaskStatus, Usage, fold
from tests.sizes import sizes

Chunk = dict[str, Any]


@dataclass(frozen=True)
class Heard:
    content: str
    refusal: str
    reasoning: str
    calls: tuple[ToolCall, ...]
    reason: str
    usage: Usage | None


def heard_by_the_official_client(body: bytes) -> Heard:
    """Its own decoder, from the bytes on, and its own accumulation."""
    transport = httpx2.MockTransport(
        lambda _: httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=body)
    )
    state = ChatCompletionStreamState()
    with openai.OpenAI(
        api_key="k", base_url="http://model/v1", http_client=httpx2.Client(transport=transport)
    ) as client:
        chunks: Iterator[ChatCompletionChunk] = client.chat.completions.create(
            model="m", messages=[], stream=True
        )
        usage = None
        for chunk in chunks:
            state.handle_chunk(chunk)
            usage = chunk.usage or usage
    [choice] = state.current_completion_snapshot.choices
    message = choice.message
    counts = None
    if usage is not None:
        reasoned, cached = usage.completion_tokens_details, usage.prompt_tokens_details
        counts = Usage(
            usage.prompt_tokens,
            usage.completion_tokens,
            usage.total_tokens,
            reasoned.reasoning_tokens if reasoned else None,
            cached.cached_tokens if cached else None,
        )
    return Heard(
        message.content or "",
        message.refusal or "",
        (message.model_extra or {}).get("reasoning_content") or "",
        tuple(
            ToolCall(index, call.id, call.function.name, call.function.arguments)
            for index, call in enumerate(message.tool_calls or [])
        ),
        choice.finish_reason,
        counts,
    )


def kept_of(body: bytes, cuts: list[int]) -> Heard:
    """What a log adds up to whose bytes arrived in these pieces."""
    stream, transcript = ChunkStream("m"), Transcript("task_1_a", 1_000_000)
    edges = [0, *sorted({cut % (len(body) + 1) for cut in cuts}), len(body)]
    events: list[Event] = [
        StatusChanged(0, TaskStatus.PENDING, 0),
        StatusChanged(0, TaskStatus.RUNNING, 1),
    ]
    for begin, end in pairwise(edges):
        events += transcript.events(stream.feed(body[begin:end]), 1)
    events += transcript.events(stream.end(), 1)
    finished = stream.finished()
    events += [
        StatusChanged(2, TaskStatus.COMPLETED, 1),
        TaskEnded(2, transcript.answer(), finished.reason, finished.model),
    ]
    answer = fold(events).answer
    texts = [each for each in events if isinstance(each, ContentAdded)]
    assert answer.text == "".join(each.text for each in texts)
    return Heard(
        "".join(each.text for each in texts if not each.refusal),
        answer.refusal,
        answer.reasoning,
        answer.tool_calls,
        finished.reason,
        finished.usage,
    )


def _chunk(delta: Chunk, reason: str | None = None, **more: Any) -> Chunk:
    choice = {"index": 0, "delta": delta, "finish_reason": reason, "logprobs": None}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [choice],
        **more,
    }


_TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
_NAMES = ("get_weather", "f", "search")


@st.composite
def _calls(draw: st.DrawFn) -> list[list[Chunk]]:
    """The deltas of several calls, each in its own order."""
    calls = []
    for index in range(draw(st.integers(0, 4))):
        name = draw(st.sampled_from(_NAMES))
        cut = draw(st.integers(1, len(name))) if len(name) > 3 else len(name)
        first = {"name": name[:cut], "arguments": draw(st.just("") | _TEXTS)}
        opening = {"index": index, "id": f"call_{index}", "type": "function", "function": first}
        rest = [{"name": name[cut:]}] if name[cut:] else []
        rest += [{"arguments": each} for each in draw(st.lists(_TEXTS, max_size=4))]
        calls.append([opening, *({"index": index, "function": each} for each in rest)])
    return calls


@st.composite
def answers(draw: st.DrawFn) -> list[Chunk]:
    """The chunks of an answer: deltas of all kinds in any order, several in a chunk."""
    said: list[Chunk] = [
        *({"content": each} for each in draw(st.lists(_TEXTS, max_size=6))),
        *({"refusal": each} for each in draw(st.lists(_TEXTS, max_size=2))),
        *({"reasoning_content": each} for each in draw(st.lists(_TEXTS, max_size=6))),
        {"content": ""},
        {"content": None},
        {"content": "a", "refusal": "b", "reasoning_content": "c"},
    ]
    sources = [draw(st.permutations(said)), *draw(_calls())]
    deltas: list[Chunk] = [{"role": "assistant"}]
    begun = 0  # OpenAI begins the calls in the order of their indices. Then they may alternate.
    while ready := [each for each in sources[: begun + 2] if each]:
        source = draw(st.sampled_from(ready))
        taken = [source.pop(0)]
        if "index" not in taken[0]:
            deltas += taken
            continue
        begun += "id" in taken[0]
        if source and draw(st.booleans()):
            taken.append(source.pop(0))
        deltas.append({"tool_calls": taken})
    chunks = [_chunk(each) for each in deltas]
    chunks.append(_chunk({}, draw(st.sampled_from(["stop", "length", "tool_calls"]))))
    if draw(st.booleans()):
        usage = {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}
        details = {
            "prompt_tokens_details": {"cached_tokens": 2},
            "completion_tokens_details": {"reasoning_tokens": 4},
        }
        told = usage | details if draw(st.booleans()) else usage
        chunks.append({**_chunk({}), "choices": [], "usage": told})
    return chunks


@pytest.mark.parametrize("examples", sizes(40, 3_000))
def test_the_record_is_what_the_official_client_accumulates(examples: int) -> None:
    @settings(max_examples=examples, deadline=None)
    @given(
        chunks=answers(),
        cuts=st.lists(st.integers(0, 100_000), max_size=30),
        ascii_only=st.booleans(),
        ending=st.sampled_from(["\n", "\r\n", "\r"]),
    )
    def check(chunks: list[Chunk], cuts: list[int], ascii_only: bool, ending: str) -> None:
        datas = [json.dumps(each, ensure_ascii=ascii_only) for each in chunks]
        body = "".join(f"data: {each}{ending}{ending}" for each in [*datas, "[DONE]"]).encode()
        assert kept_of(body, cuts) == heard_by_the_official_client(body)

    check()
