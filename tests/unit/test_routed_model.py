"""Several upstreams: which one is asked, and what is done while one is down."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from adapters.upstreams import RoutedModel, Upstream
from adapters.upstreams.model import DOWN_FOR, KEEPER, ROOM
from application.errors import ContinuationLost, ModelError, ModelRefused, ModelUnavailable
from application.ports import Finished, Item, Kept, Numbered, OfferedModel, Resumption
from domain.answer import Answer, Text
from domain.continuation import Continuation
from domain.request import TaskRequest
from tests.builders import REQUEST
from tests.doubles.model import DrivenModel, text_of

END = Finished("stop", "m", None)
ASKED = replace(REQUEST, model="gpt-4o")
UNREACHABLE = ModelUnavailable("model_unreachable", "No.", unbilled=True)
FAILED = ModelUnavailable("model_error", "No.", unbilled=True)
LIMITED = ModelUnavailable("rate_limited", "No.", 7.0, unbilled=True)
SILENT = ModelUnavailable("model_timeout", "No.")
REFUSED = ModelRefused("invalid_request", "No.", unbilled=True)
SPENT = ModelRefused("insufficient_quota", "No.", unbilled=True)


class Recording(DrivenModel):
    """Notes what it is asked for, and by which name of the model."""

    def __init__(self, *words: str | Item | Exception, kept_by: str | None = None) -> None:
        super().__init__(kept_by)
        self.names: list[str] = []
        self.offered: Sequence[OfferedModel] | ModelError = []
        self.say(*words)

    def stream(self, request: TaskRequest, resumption: Resumption | None = None):  # type: ignore[no-untyped-def]
        self.names.append(request.model)
        return super().stream(request, resumption)

    async def models(self) -> Sequence[OfferedModel]:
        if isinstance(self.offered, ModelError):
            raise self.offered
        return self.offered


class Clock:
    now = 100.0


class Two:
    """`first` has gpt-*, `second` llama*, which is asked in its place as llama3."""

    def __init__(self, first: Recording, second: Recording) -> None:
        self.first, self.second, self.clock = first, second, Clock()
        self.fell_back: list[tuple[str, str]] = []
        self.model = RoutedModel(
            [
                Upstream("a", first, ("gpt-*",), 60.0, fallback=("b",)),
                Upstream("b", second, ("llama*",), 20.0, {"gpt-*": "llama3"}),
            ],
            lambda *names: self.fell_back.append(names),
            lambda: self.clock.now,
        )

    async def items(
        self, request: TaskRequest = ASKED, resumption: Resumption | None = None
    ) -> list[Item]:
        return [item async for item in self.model.stream(request, resumption)]


async def test_the_name_of_the_model_says_who_is_asked() -> None:
    two = Two(Recording("A", END), Recording("B", END))
    assert text_of(await two.items()) == "A"
    assert text_of(await two.items(replace(REQUEST, model="llama2"))) == "B"
    assert (two.first.names, two.second.names) == (["gpt-4o"], ["llama2"])
    with pytest.raises(ModelRefused) as refused:
        await two.items(replace(REQUEST, model="claude"))
    assert refused.value.code == "model_not_found"
    assert (two.model.read_timeout("llama2"), two.model.read_timeout("claude")) == (20.0, None)
    assert two.model.read_timeout("gpt-4o") == 60.0 + ROOM


@pytest.mark.parametrize("fault", [UNREACHABLE, FAILED, LIMITED, SILENT, SPENT])
async def test_the_fallback_is_asked_in_the_same_attempt(fault: ModelError) -> None:
    two = Two(Recording(fault), Recording("B", END))
    items = await two.items()
    assert text_of(items) == "B"
    assert (two.second.names, two.fell_back) == (["llama3"], [("a", "b")])
    # What may have been billed counts as asked for, and begins the next one's time.
    assert (items[0] == ()) is (fault is SILENT)


async def test_what_the_first_one_refuses_is_refused() -> None:
    two = Two(Recording(REFUSED), Recording("B", END))
    with pytest.raises(ModelRefused):
        await two.items()
    assert two.second.names == []


@pytest.mark.parametrize("word", ["A", ""])
async def test_after_its_first_sign_of_work_a_fault_is_the_attempts_own(word: str) -> None:
    two = Two(Recording(word, FAILED), Recording("B", END))
    with pytest.raises(ModelUnavailable):
        await two.items()
    assert two.second.names == []


@pytest.mark.parametrize("second", [FAILED, REFUSED])
async def test_if_no_other_can_help_the_fault_of_the_first_counts(second: ModelError) -> None:
    two = Two(Recording(LIMITED), Recording(second))
    with pytest.raises(ModelUnavailable) as raised:
        await two.items()
    assert raised.value.retry_after == 7.0
    assert raised.value.unbilled
    spent = Two(Recording(SPENT), Recording(FAILED))
    with pytest.raises(ModelUnavailable):
        await spent.items()


async def test_one_that_is_down_is_passed_over_for_a_while() -> None:
    two = Two(Recording(UNREACHABLE, "A", END), Recording("B", END, "C", END))
    assert text_of(await two.items()) == "B"
    assert text_of(await two.items()) == "C"
    assert (two.first.asked, two.fell_back) == (1, [("a", "b")] * 2)
    two.clock.now += DOWN_FOR
    assert text_of(await two.items()) == "A"


async def test_one_that_is_down_is_asked_last_rather_than_never() -> None:
    two = Two(Recording(UNREACHABLE, "A", END), Recording("B", END, FAILED))
    await two.items()
    assert text_of(await two.items()) == "A"


async def test_a_fault_that_is_not_an_absence_keeps_nobody_else_away() -> None:
    two = Two(Recording(FAILED, "A", END), Recording("B", END))
    await two.items()
    assert text_of(await two.items()) == "A"


async def test_a_text_goes_on_only_where_it_can() -> None:
    resumption = Resumption("key", Answer("so far"))
    two = Two(Recording(UNREACHABLE), Recording("B", END))
    two.first.continues = True
    assert two.model.goes_on(ASKED, Answer("so far"))
    with pytest.raises(ContinuationLost):  # the same delivery begins anew, at the fallback
        await two.items(resumption=resumption)
    assert text_of(await two.items()) == "B"
    both = Two(Recording(UNREACHABLE), Recording("B", END))
    both.first.continues = both.second.continues = True
    assert text_of(await both.items(resumption=resumption)) == "B"
    other = Two(Recording("A"), Recording("B"))
    other.second.continues = True
    assert not other.model.goes_on(ASKED, Answer("so far"))


async def test_a_kept_answer_is_read_on_where_it_is_kept() -> None:
    kept: list[str | Item | Exception] = [Kept("resp_1"), Numbered((Text("B"),), 3), END]
    two = Two(Recording(FAILED, kept_by="x"), Recording(*kept, kept_by="y"))
    assert two.model.keeper("gpt-4o") == KEEPER
    first, *_ = await two.items(resumption=Resumption("key", continuation=Continuation(1, KEEPER)))
    assert first == Kept("b>resp_1")
    continuation = Continuation(1, KEEPER, "b>resp_1", 3)
    lost = ContinuationLost("continuation_lost", "No.", resumes_at=("resp_1", None))
    two.second.say(lost)
    with pytest.raises(ContinuationLost) as raised:
        await two.items(resumption=Resumption("key", Answer("B"), continuation))
    assert raised.value.resumes_at == ("b>resp_1", None)
    resumed = two.second.resumptions[-1]
    assert resumed is not None
    assert resumed.continuation == Continuation(1, "y", "resp_1", 3)
    await two.model.release(continuation, completed=True)
    assert two.second.released == [("resp_1", True)]
    assert two.first.asked == 1


async def test_an_answer_of_an_upstream_that_is_gone_is_lost() -> None:
    two = Two(Recording(kept_by="x"), Recording())
    for response_id in ("c>resp_1", "resp_1", "b>resp_1"):  # b keeps none any more
        continuation = Continuation(1, KEEPER, response_id)
        with pytest.raises(ContinuationLost):
            await two.items(resumption=Resumption("key", continuation=continuation))
        await two.model.release(continuation, completed=False)
    assert two.first.released == two.second.released == []


async def test_a_fallback_has_the_tools_that_the_request_asks_for() -> None:
    two = Two(Recording(FAILED), Recording("B", END))
    with pytest.raises(ModelUnavailable):
        await two.items(replace(ASKED, options={"tools": [{"type": "web_search"}]}))


async def test_the_list_is_that_of_all_that_respond() -> None:
    two = Two(Recording(), Recording())
    two.first.offered = [OfferedModel("gpt-4o", 5, "x"), OfferedModel("whisper", 6, "x")]
    two.second.offered = [OfferedModel("llama3", 7, "y"), OfferedModel("gpt-4o", 8, "y")]
    a, b = OfferedModel("gpt-4o", 5, "a"), OfferedModel("llama3", 7, "b")
    assert await two.model.models() == [a, b]
    two.first.offered = UNREACHABLE
    assert await two.model.models() == [b]
    listless = Recording()
    listless.offered = ModelRefused("wrong_address", "No.")
    model = RoutedModel([Upstream("c", listless, ("exact", "x*"), 1.0)], lambda *_: None)
    assert await model.models() == [OfferedModel("exact", 0, "c")]


async def test_a_call_that_is_left_closes_the_one_that_answers() -> None:
    two = Two(Recording(FAILED), Recording("B"))
    stream = two.model.stream(ASKED)
    assert text_of([await anext(stream)]) == "B"
    await stream.aclose()
    await asyncio.sleep(0)
    assert (two.first.closed, two.second.closed) == (1, 1)
