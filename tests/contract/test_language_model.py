"""What every LanguageModel promises (application/ports/)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from adapters.demo import MODEL_NAME, DemoModel
from adapters.openai import OpenAIModel
from adapters.openai.responses import ResponsesModel
from adapters.upstreams import RoutedModel
from adapters.upstreams import Upstream as Mapped
from application.errors import ModelRefused, ModelUnavailable
from application.ports import Finished, Item, Kept, LanguageModel, Numbered
from domain.answer import Reasoning, Text, ToolCallDelta
from domain.request import TaskRequest
from tests.doubles.model import text_of
from tests.doubles.responses_upstream import (
    ResponsesUpstream,
    answer_events,
    call_item,
    end_event,
    item_event,
)
from tests.doubles.responses_upstream import delta as delta_of
from tests.doubles.upstream import (
    DONE,
    Gate,
    Script,
    Upstream,
    answer,
    call,
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


@pytest.fixture(params=["openai", "responses", "demo", "fallback", "keeping fallback"])
async def model(
    request: pytest.FixtureRequest, upstream: Upstream, responses_upstream: ResponsesUpstream
) -> AsyncIterator[LanguageModel]:
    if request.param == "demo":
        yield DemoModel(tokens_per_second=0)
        return
    opened: OpenAIModel | ResponsesModel | RoutedModel
    if request.param in ("responses", "keeping fallback"):
        responses_upstream.usual = answer_events(*WORDS)
        opened = ResponsesModel("key", responses_upstream.url, read_timeout=5.0)
    else:
        upstream.then(Script(answer(*WORDS)))
        opened = OpenAIModel("key", upstream.url, read_timeout=5.0)
    if request.param.endswith("fallback"):
        absent = type(opened)("key", "http://127.0.0.1:9/v1", read_timeout=5.0)
        down = Mapped("down", absent, ("m",), 5.0, fallback=("up",))
        opened = RoutedModel([down, Mapped("up", opened, ("*",), 5.0)], lambda *_: None)
    yield opened
    await opened.aclose()


async def test_pieces_and_then_one_end(model: LanguageModel) -> None:
    *items, finished = [item async for item in model.stream(_request())]
    assert isinstance(finished, Finished)
    assert finished.reason == "stop"
    assert finished.model
    assert finished.usage is not None
    assert finished.usage.total_tokens >= finished.usage.completion_tokens > 0
    if model.keeper("m") is None:
        assert items
        assert all(isinstance(item, tuple) and item for item in items)
        return
    kept, *items = items
    assert isinstance(kept, Kept)
    numbered = [item for item in items if isinstance(item, Numbered)]
    assert numbered
    assert all(item.pieces for item in numbered)
    assert sorted({item.cursor for item in numbered}) == [item.cursor for item in numbered]
    assert set(items) <= {*numbered, ()}


async def test_it_may_be_left_in_the_middle(model: LanguageModel) -> None:
    stream = model.stream(_request())
    assert isinstance(await anext(stream), tuple | Kept)
    await stream.aclose()
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


async def test_the_models_that_it_offers_have_names(
    model: LanguageModel, upstream: Upstream
) -> None:
    upstream.scripts.clear()
    upstream.then(Script([b'{"data": [{"id": "m"}, {"id": "n"}]}']))
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
    model: LanguageModel, upstream: Upstream, responses_upstream: ResponsesUpstream
) -> None:
    upstream.scripts.clear()
    called = call_item("x", "get_weather", "{}")
    responses_upstream.usual = [
        *(delta_of("h", "reasoning_text"), delta_of("m", "reasoning_text")),
        *(delta_of("a", index=1), delta_of("b", index=1)),
        *(item_event(call_item("x", "get_weather"), 2), item_event(called, 2, done=True)),
        end_event([called]),
    ]
    said = [reasoning("h"), reasoning("m"), piece("a"), piece("b")]
    calls = [call(0, "", "x", "get_weather"), call(0, "{"), call(0, "}")]
    upstream.then(Script([*said, *calls, finish("tool_calls"), DONE]))
    *items, end = [item async for item in model.stream(EVERYTHING)]
    assert isinstance(end, Finished)
    assert (end.reason, end.whole) == ("tool_calls", False)
    told = [item.pieces if isinstance(item, Numbered) else item for item in items]
    pieces = [each for item in told if isinstance(item, tuple) for each in item]
    kinds = [type(each) for each in pieces]
    assert list(dict.fromkeys(kinds)) == [Reasoning, Text, ToolCallDelta]
    assert kinds == sorted(kinds, key=[Reasoning, Text, ToolCallDelta].index)
    first, *rest = [each for each in pieces if isinstance(each, ToolCallDelta)]
    assert first.id
    assert first.name == "get_weather"
    assert all(each.index == first.index and each.id is None for each in rest)
    assert "".join(each.arguments for each in (first, *rest)) == "{}"


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


@pytest.mark.parametrize("last", [piece("b").rstrip(), finish().rstrip()])
async def test_what_the_reader_does_between_two_items_is_no_silence(
    upstream: Upstream, last: bytes
) -> None:
    """Also where the body ends without the end of its last event."""
    upstream.then(Script([piece("a"), last]))
    model = OpenAIModel("key", upstream.url, read_timeout=(limit := within(0.2)))
    items: list[Item] = []
    with suppress(ModelUnavailable):
        async for item in model.stream(_request()):
            items.append(item)
            await asyncio.sleep(1.5 * limit)
    assert items
    await asyncio.sleep(1.5 * limit)
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
