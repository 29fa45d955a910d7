"""The pieces that OpenAIModel makes of the chunks of a server."""

import asyncio

import pytest

from adapters.openai import OpenAIModel
from application.ports import Finished
from application.transcript import Transcript
from domain.answer import Piece, Reasoning, Text, ToolCallDelta
from domain.request import TaskRequest
from tests.doubles.upstream import (
    DONE,
    Gate,
    Script,
    Upstream,
    call,
    delta,
    finish,
    piece,
    reasoning,
)

REQUEST = TaskRequest(model="m", prompt="Hi.")

KINDS: dict[str, tuple[list[bytes], list[Piece]]] = {
    "text": ([piece("a"), piece("b")], [Text("ab")]),
    "a refusal": (
        [piece("a"), delta(refusal="n"), delta(refusal="o")],
        [Text("a"), Text("no", refusal=True)],
    ),
    "annotations": (
        [piece("a"), delta(annotations=[{"type": "url_citation"}])],
        [Text("a", annotations=({"type": "url_citation"},))],
    ),
    "reasoning_content": ([reasoning("h"), reasoning("m")], [Reasoning("hm")]),
    "reasoning": ([reasoning("hm", "reasoning")], [Reasoning("hm")]),
    "reasoning_details": (
        [delta(reasoning="hm", reasoning_details=[{"type": "reasoning.text", "text": "hm"}])],
        [Reasoning("hm")],
    ),
    "thinking parts": (
        [delta(content=[{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}])],
        [Reasoning("hm")],
    ),
    "calls": (
        [
            *(call(0, "", "x", "f"), call(0, "{"), call(0, "}")),
            *(call(1, "", "y", "g"), call(0, " "), piece("a")),
        ],
        [
            *(ToolCallDelta(0, "{}", "x", "f"), ToolCallDelta(1, "", "y", "g")),
            *(ToolCallDelta(0, " "), Text("a")),
        ],
    ),
    "calls without an index": (
        [
            delta(tool_calls=[{"id": name, "function": {"name": name, "arguments": "{}"}}])
            for name in ("x", "y")
        ],
        [ToolCallDelta(0, "{}", "x", "x"), ToolCallDelta(1, "{}", "y", "y")],
    ),
}


@pytest.mark.parametrize("kind", KINDS)
async def test_every_kind_of_delta_is_a_piece(upstream: Upstream, kind: str) -> None:
    said, pieces = KINDS[kind]
    upstream.then(Script([b"".join([*said, finish(), DONE])]), Script([*said, finish(), DONE]))
    model = OpenAIModel("key", upstream.url, read_timeout=5.0)
    assert [item async for item in model.stream(REQUEST)] == [
        tuple(pieces),
        Finished("stop", "test-model", None),
    ]
    transcript, together = Transcript("T", 1_000), Transcript("T", 1_000)
    async for item in model.stream(REQUEST):
        if isinstance(item, tuple):
            transcript.events(item, 1)
    together.events(pieces, 1)
    assert transcript.answer() == together.answer()
    await model.aclose()


async def test_what_is_said_meanwhile_is_one_piece(upstream: Upstream) -> None:
    begin, all_said = Gate(), Gate()
    upstream.then(Script([piece("a"), begin, piece("b"), piece("c"), piece("d"), all_said]))
    model = OpenAIModel("key", upstream.url, read_timeout=5.0)
    stream = model.stream(REQUEST)
    assert await anext(stream) == (Text("a"),)
    begin.open()
    assert await asyncio.to_thread(all_said.reached.wait, 5)
    for _ in range(10):  # it is at our socket: the event loop takes it from there
        await asyncio.sleep(0)
    assert await anext(stream) == (Text("bcd"),)
    await stream.aclose()
    await model.aclose()
