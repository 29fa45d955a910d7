"""What every LanguageModel promises (application/ports/)."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from adapters.demo import MODEL_NAME, DemoModel
from adapters.openai import OpenAIModel
from application.errors import ModelRefused, ModelUnavailable
from application.ports import Finished, LanguageModel
from application.transcript import Transcript
from domain.answer import Piece, Reasoning, Text, ToolCallDelta
from domain.request import TaskRequest
from tests.doubles.model import text_of
from tests.doubles.upstream import (
    DONE,
    Gate,
    Script,
    Upstream,
    answer,
    call,
    delta,
    event,
    finish,
    piece,
    reasoning,
    refusal,
)
from tests.waiting import within

WORDS = ["One", " two", " three", "."]


def _request(prompt: str = "Hi.", max_tokens: int = 1_000) -> TaskRequest:
    return TaskRequest(model="m", max_tokens=max_tokens, temperature=0.5, prompt=prompt)


@pytest.fixture(params=["openai", "demo"])
async def model(request: pytest.FixtureRequest, upstream: Upstream) -> AsyncIterator[LanguageModel]:
    if request.param == "demo":
        yield DemoModel(tokens_per_second=0)
        return
    upstream.then(Script(answer(*WORDS)))
    opened = OpenAIModel("key", upstream.url, read_timeout=5.0)
    yield opened
    await opened.aclose()


async def test_pieces_and_then_one_end(model: LanguageModel) -> None:
    items = [item async for item in model.stream(_request())]
    finished = items.pop()
    assert isinstance(finished, Finished)
    assert finished.reason == "stop"
    assert finished.model
    assert finished.usage is not None
    assert finished.usage.total_tokens >= finished.usage.completion_tokens > 0
    assert items
    assert all(isinstance(item, tuple) and item for item in items)


async def test_it_may_be_left_in_the_middle(model: LanguageModel) -> None:
    stream = model.stream(_request())
    assert isinstance(await anext(stream), tuple)
    await stream.aclose()
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


async def test_the_models_that_it_offers_have_names(
    model: LanguageModel, upstream: Upstream
) -> None:
    upstream.scripts.clear()
    upstream.then(Script([b'{"data": [{"id": "m"}]}']))
    models = await model.models()
    assert models
    assert all(each.name for each in models)


EVERYTHING = TaskRequest(
    model="m",
    prompt="Hi.",
    options={
        "reasoning_effort": "low",
        "tools": [{"type": "function", "function": {"name": "get_weather", "parameters": {}}}],
    },
)


async def test_reasoning_text_and_calls_are_told_apart(
    model: LanguageModel, upstream: Upstream
) -> None:
    upstream.scripts.clear()
    said = [reasoning("h"), reasoning("m"), piece("a"), piece("b")]
    calls = [call(0, "", "x", "get_weather"), call(0, "{"), call(0, "}")]
    upstream.then(Script([*said, *calls, finish("tool_calls"), DONE]))
    *items, end = [item async for item in model.stream(EVERYTHING)]
    assert isinstance(end, Finished)
    assert (end.reason, end.whole) == ("tool_calls", False)
    pieces = [each for item in items if isinstance(item, tuple) for each in item]
    kinds = [type(each) for each in pieces]
    assert list(dict.fromkeys(kinds)) == [Reasoning, Text, ToolCallDelta]
    assert kinds == sorted(kinds, key=[Reasoning, Text, ToolCallDelta].index)
    first, *rest = [each for each in pieces if isinstance(each, ToolCallDelta)]
    assert first.id
    assert first.name == "get_weather"
    assert all(each.index == first.index and each.id is None for each in rest)
    assert "".join(each.arguments for each in (first, *rest)) == "{}"


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
    assert [item async for item in model.stream(_request())] == [
        tuple(pieces),
        Finished("stop", "test-model", None),
    ]
    transcript, together = Transcript("T", 1_000), Transcript("T", 1_000)
    async for item in model.stream(_request()):
        if isinstance(item, tuple):
            transcript.events(item, 1)
    together.events(pieces, 1)
    assert transcript.answer() == together.answer()
    await model.aclose()


async def test_what_is_said_meanwhile_is_one_piece(upstream: Upstream) -> None:
    begin, all_said = Gate(), Gate()
    upstream.then(Script([piece("a"), begin, piece("b"), piece("c"), piece("d"), all_said]))
    model = OpenAIModel("key", upstream.url, read_timeout=5.0)
    stream = model.stream(_request())
    assert await anext(stream) == (Text("a"),)
    begin.open()
    assert await asyncio.to_thread(all_said.reached.wait, 5)
    for _ in range(10):  # it is at our socket: the event loop takes it from there
        await asyncio.sleep(0)
    assert await anext(stream) == (Text("bcd"),)
    await stream.aclose()
    await model.aclose()


async def test_leaving_closes_the_connection(upstream: Upstream) -> None:
    upstream.then(Script([piece("a"), Gate()]))
    model = OpenAIModel("key", upstream.url, read_timeout=5.0)
    stream = model.stream(_request())
    await anext(stream)
    await stream.aclose()
    assert await asyncio.to_thread(upstream.received[0].gone.wait, 5)
    await model.aclose()


async def test_silence_of_the_server_is_a_passing_fault(upstream: Upstream) -> None:
    upstream.then(Script([piece("a"), Gate()]))
    model = OpenAIModel("key", upstream.url, read_timeout=within(0.5))
    stream = model.stream(_request())
    assert await anext(stream) == (Text("a"),)
    with pytest.raises(ModelUnavailable) as lost:
        await anext(stream)
    assert lost.value.code == "model_timeout"
    assert not lost.value.unbilled
    await model.aclose()


async def test_that_the_model_works_in_secret_is_an_empty_item(upstream: Upstream) -> None:
    secret = [{"type": "reasoning.encrypted", "data": "gAAAAB"}]
    gates = [Gate(), Gate()]
    upstream.then(
        Script(
            [
                *(event({"choices": [{"delta": {"reasoning_details": secret}}]}), gates[0]),
                *(piece("a"), gates[1], finish(), DONE),
            ]
        )
    )
    model = OpenAIModel("key", upstream.url, read_timeout=5.0)
    items = []
    async for item in model.stream(_request()):
        items.append(item)
        if gates:
            gates.pop(0).open()
    assert items == [(), (Text("a"),), Finished("stop", "test-model", None)]
    await model.aclose()


async def test_what_is_no_sign_of_work_yields_nothing(upstream: Upstream) -> None:
    empty = [
        {"content": ""},
        {"role": "assistant", "content": None},
        {"reasoning_content": "", "reasoning": None, "reasoning_details": [], "tool_calls": []},
    ]
    idle = [b": ping\n\n", b"\n", *(event({"choices": [{"delta": each}]}) for each in empty)]
    idle.append(event({"choices": [], "usage": None}))
    upstream.then(Script([*(step for each in idle for step in (each, 0.02)), finish(), DONE]))
    model = OpenAIModel("key", upstream.url, read_timeout=5.0)
    assert [item async for item in model.stream(_request())] == [Finished("stop", "m", None)]
    await model.aclose()


@pytest.mark.parametrize(
    ("script", "unbilled"),
    [
        (refusal(429), True),
        (refusal(401), True),
        (refusal(503), True),
        (Script([event({"error": {"type": "rate_limit_error"}})]), True),
        (Script([event({"error": {"type": "server_error"}})]), False),
        (Script([], cut=True), False),
        (Script([finish(), b"data: [\n\n"]), False),
    ],
)
async def test_a_fault_says_whether_it_came_before_any_work(
    upstream: Upstream, script: Script, unbilled: bool
) -> None:
    upstream.then(script)
    model = OpenAIModel("key", upstream.url, read_timeout=5.0)
    with pytest.raises((ModelUnavailable, ModelRefused)) as fault:
        await anext(model.stream(_request()))
    assert isinstance(fault.value, ModelRefused | ModelUnavailable)
    assert fault.value.unbilled is unbilled
    await model.aclose()


async def test_a_server_that_is_not_there_is_a_passing_fault() -> None:
    model = OpenAIModel("key", "http://127.0.0.1:1/v1", read_timeout=1.0)
    with pytest.raises(ModelUnavailable) as lost:
        await anext(model.stream(_request()))
    assert lost.value.code == "model_unreachable"
    assert lost.value.unbilled
    await model.aclose()


async def test_the_demo_says_what_it_is_and_keeps_to_the_length() -> None:
    model = DemoModel(tokens_per_second=0)
    prompt = "Is {this} a\ntrap?"
    text = text_of([item async for item in model.stream(_request(prompt))])
    assert text.startswith("> **Demo model.**")
    assert "Is {this} a trap?" in text
    short = [item async for item in model.stream(_request(max_tokens=3))]
    assert len(short) == 4
    end = short[-1]
    assert isinstance(end, Finished)
    assert (end.reason, end.model) == ("length", MODEL_NAME)
