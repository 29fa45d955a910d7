"""What a LanguageModel promises of an answer that it goes on with by prefill, for each kind of
server."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import pytest

from adapters.openai import OpenAIModel
from adapters.openai.prefill import SERVERS
from application.errors import ContinuationLost, ModelRefused
from application.ports import Finished, LanguageModel, Resumption
from domain.answer import Answer, ToolCall, ToolCallDelta
from domain.events import Usage
from domain.request import TaskRequest
from tests.doubles.model import text_of
from tests.doubles.prefilling_upstream import PrefillingUpstream
from tests.doubles.upstream import Script, answer, call, finish, piece, reasoning, refusal

WHOLE = "ha haha\n\n  def f():\n\n\treturn 'ha'  # 好的。 \n\nha ha"
ASKED = TaskRequest(model="m", system="Be brief.", prompt="Laugh.", options={"seed": 7})
SAID = Answer("ha haha")


@pytest.fixture(scope="module")
def server() -> Iterator[PrefillingUpstream]:
    with PrefillingUpstream().running() as running:
        assert isinstance(running, PrefillingUpstream)
        yield running


@pytest.fixture(params=SERVERS)
async def model(
    request: pytest.FixtureRequest, server: PrefillingUpstream
) -> AsyncIterator[LanguageModel]:
    server.reset()
    server.kind, server.whole = request.param, WHOLE
    opened = OpenAIModel("key", server.url, 5.0, request.param)
    yield opened
    await opened.aclose()


async def _rest(
    model: LanguageModel, said: Answer, request: TaskRequest = ASKED
) -> tuple[str, Finished]:
    stream = model.stream(request, Resumption("key", said))
    *items, end = [item async for item in stream]
    assert isinstance(end, Finished)
    return text_of(items), end


async def test_the_text_is_that_of_one_answer_wherever_it_is_cut(
    model: LanguageModel, server: PrefillingUpstream
) -> None:
    for cut in range(1, len(WHOLE) + 1):
        said = Answer(WHOLE[:cut])
        assert model.goes_on(ASKED, said)
        rest, end = await _rest(model, said)
        assert WHOLE[:cut] + rest == WHOLE
        assert end.reason == "stop"
    first, *conversation, last = server.received[3].body["messages"]
    assert (first["role"], conversation) == (
        "system",
        [{"role": "user", "content": "Laugh."}],
    )
    assert (last["role"], last["content"]) == ("assistant", "ha h")
    assert server.received[3].body["seed"] == 7


async def test_nothing_said_is_asked_for_as_ever(
    model: LanguageModel, server: PrefillingUpstream
) -> None:
    rest, _ = await _rest(model, Answer())
    assert rest == WHOLE
    assert server.received[0].body["messages"][-1] == {"role": "user", "content": "Laugh."}
    assert "continue_final_message" not in server.received[0].body


async def test_the_limit_of_tokens_is_lowered_by_what_was_said(
    model: LanguageModel, server: PrefillingUpstream
) -> None:
    limited = replace(ASKED, max_tokens=SAID.tokens + 2)
    rest, end = await _rest(model, SAID, limited)
    assert server.received[0].body["max_tokens"] == 2
    assert SAID.text + rest == "ha haha\n\n  def f():"
    assert end.reason == "length"
    nothing_left = replace(ASKED, max_tokens=SAID.tokens)
    assert await _rest(model, SAID, nothing_left) == ("", Finished("length", "m", Usage(0, 0, 0)))
    assert len(server.received) == 1


async def test_a_server_that_will_not_go_on_has_lost_the_answer(
    model: LanguageModel, server: PrefillingUpstream
) -> None:
    """The attempt then begins anew. Other refusals are those of the whole request."""
    server.then(
        refusal(400, message="prefill is incompatible with enable_thinking"),
        Script([reasoning("Hm."), *answer("Other.")]),
        Script([piece("\n"), reasoning("Hm."), *answer("Other.")]),
    )
    if server.kind == "mistral":  # where a line break is something new
        server.scripts.pop()
    while server.scripts:
        with pytest.raises(ContinuationLost):
            await _rest(model, replace(SAID, text=SAID.text + "\n\n"))
    server.then(refusal(401))
    with pytest.raises(ModelRefused):
        await _rest(model, SAID)


async def test_a_text_may_go_on_with_a_call(
    model: LanguageModel, server: PrefillingUpstream
) -> None:
    server.then(Script([call(0, "{}", "c", "f"), finish("tool_calls")]))
    first, end = [item async for item in model.stream(ASKED, Resumption("key", SAID))]
    assert first == (ToolCallDelta(0, "{}", "c", "f"),)
    assert isinstance(end, Finished)


NOT_CONTINUED: list[dict[str, Any]] = [
    {"response_format": {"type": "json_object"}},
    {"tool_choice": "required"},
    {"tool_choice": {"type": "function", "function": {"name": "f"}}},
    {"logprobs": True},
    {"guided_regex": "a+"},
    {"continue_final_message": True},
]


def _is_continued(model: OpenAIModel, said: Answer = SAID, **changes: Any) -> bool:
    return model.goes_on(replace(ASKED, **changes), said)


async def test_what_is_continued() -> None:
    model = OpenAIModel("key", "http://127.0.0.1:1", 1.0, "vllm")
    assert _is_continued(model)
    assert _is_continued(
        model, options={"tool_choice": "auto", "response_format": {"type": "text"}}
    )
    for options in NOT_CONTINUED:
        assert not _is_continued(model, options=options)
    begun = ({"role": "user", "content": "Hi."}, {"role": "assistant", "content": "{"})
    assert not _is_continued(model, prompt=None, messages=begun)
    for said in (
        Answer(),
        Answer(" \n"),
        Answer(reasoning="Hm."),
        Answer("Yes.", reasoning="Hm."),
        Answer("No.", refusal="No."),
        Answer("Yes.", tool_calls=(ToolCall(0, "c", "f", ""),)),
        Answer("Yes.", annotations=({"type": "url_citation"},)),
    ):
        assert not _is_continued(model, said)
    with pytest.raises(ContinuationLost):
        await _rest(model, Answer("Yes.", reasoning="Hm."))
    await model.aclose()


@pytest.mark.parametrize("kind", [None, "vllm"])
@pytest.mark.parametrize("unasked", [True, False])
@pytest.mark.parametrize("asked", [True, False, None])
async def test_a_request_may_ask_for_it_or_forbid_it(
    kind: str | None, unasked: bool, asked: bool | None
) -> None:
    model = OpenAIModel("key", "http://127.0.0.1:1", 1.0, kind, prefill_unasked=unasked)
    wanted = unasked if asked is None else asked
    assert _is_continued(model, prefill=asked) == (wanted and kind is not None)
    await model.aclose()


@pytest.mark.parametrize("repeating", [True, False])
async def test_a_repetition_is_told_from_a_text_that_is_alike(
    server: PrefillingUpstream, repeating: bool
) -> None:
    """Mistral repeats the beginning, in pieces of any size. Should it ever not, nothing is lost."""
    server.reset()
    model = OpenAIModel("key", server.url, 5.0, "mistral")
    said = Answer("ab abc")
    rests = ["", "a", "ab abd", "xab abc"] if not repeating else ["", " ab abc", "d", "ab abc"]
    for rest in rests:
        text = said.text + rest if repeating else rest
        server.then(Script(answer(*text)))
        assert (await _rest(model, said))[0] == rest
    await model.aclose()
