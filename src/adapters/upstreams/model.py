"""LanguageModel that asks one of several upstreams, by the name of the model.

Where that one is down, its fallbacks are asked in their order, in the same attempt, until one of
them says something. After that a fault is the attempt's own: it is lost, and the next one begins
with the first upstream again. An answer that an upstream keeps is read on there and nowhere else:
the id under which the record knows it names the upstream.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace

import structlog

from adapters.upstreams.upstream import Upstream
from application.errors import ContinuationLost, ModelError, ModelRefused, ModelUnavailable
from application.ports import Item, Kept, LanguageModel, OfferedModel, Resumption
from domain.answer import Answer
from domain.continuation import Continuation
from domain.options import asks_hosted_tools
from domain.request import TaskRequest

log = structlog.get_logger(__name__)

KEEPER = "upstreams"
"""The keeper of every answer that is kept: its id says by which upstream."""
DOWN_FOR = 10.0
"""Seconds for which an upstream that could not be reached, or did not respond in time, is asked
only after its fallbacks. Each process has its own view."""
ROOM = 5.0
"""Seconds that an attempt waits longer than any of its upstreams may be silent: so the connection
notices first, and a fallback can be asked."""
_SEPARATOR = ">"
"""Between the name of an upstream and its id of an answer. No name has it."""
_DOWN = ("model_unreachable", "model_timeout")
_SPENT = "insufficient_quota"
"""A refusal that another upstream does not share."""


class RoutedModel(LanguageModel):
    def __init__(
        self,
        upstreams: Sequence[Upstream],
        fell_back: Callable[[str, str], None],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """`upstreams`: the first with a pattern that matches a model's name serves it. `fell_back`:
        is told the names of an upstream and of the fallback that is asked in its place."""
        self._upstreams = {each.name: each for each in upstreams}
        self._fell_back = fell_back
        self._now = now
        self._failed: dict[str, float] = {}
        """When the last call of an upstream that was down failed."""

    async def aclose(self) -> None:
        for each in self._upstreams.values():
            if (close := getattr(each.model, "aclose", None)) is not None:
                await close()

    def keeper(self, model: str) -> str | None:
        route = self._route(model)
        return KEEPER if route and route[0].keeps else None

    def read_timeout(self, model: str) -> float | None:
        route = self._route(model)
        longest = max((each.read_timeout for each in route), default=None)
        return longest if longest is None or len(route) == 1 else longest + ROOM

    def goes_on(self, request: TaskRequest, said: Answer) -> bool:
        route = self._route(request.model)
        return bool(route) and route[0].model.goes_on(route[0].renamed(request), said)

    def stream(
        self, request: TaskRequest, resumption: Resumption | None = None
    ) -> AsyncGenerator[Item, None]:
        kept = None if resumption is None else resumption.continuation
        if resumption is not None and kept is not None and kept.response_id is not None:
            return self._read_on(request, resumption, kept)
        route = self._route(request.model, hosted_tools=asks_hosted_tools(request.options))
        if len(route) == 1 and not route[0].keeps:
            # The usual case: nothing is added to the path of a token.
            return route[0].model.stream(route[0].renamed(request), resumption)
        return self._begin(route, request, resumption)

    async def release(self, continuation: Continuation, *, completed: bool) -> None:
        upstream, own = self._kept_at(continuation)
        if upstream is not None:
            await upstream.model.release(own, completed=completed)

    async def models(self) -> Sequence[OfferedModel]:
        """Return what all upstreams list of the models that they serve here. One that does not
        respond is left out."""
        lists = await asyncio.gather(*map(self._models_of, self._upstreams.values()))
        return [each for models in lists for each in models]

    async def _models_of(self, upstream: Upstream) -> Sequence[OfferedModel]:
        try:
            offered = {each.name: each for each in await upstream.model.models()}
        except ModelError as error:
            log.warning("models not listed", upstream=upstream.name, code=error.code)
            if isinstance(error, ModelUnavailable):
                return ()
            offered = {}
        names = [name for name in (*upstream.exact, *offered) if self._is_first(upstream, name)]
        return [
            OfferedModel(name, offered[name].created if name in offered else 0, upstream.name)
            for name in dict.fromkeys(names)
        ]

    def _is_first(self, upstream: Upstream, model: str) -> bool:
        return self._route(model)[:1] == [upstream]

    def _route(self, model: str, *, hosted_tools: bool = False) -> list[Upstream]:
        """Return the upstream of a model and its fallbacks: those that have the model, and the
        tools that the request asks for."""
        upstreams = self._upstreams.values()
        first = next((each for each in upstreams if each.has(model)), None)
        if first is None:
            return []
        others = [self._upstreams[name] for name in first.fallback]
        return [
            first,
            *(
                each
                for each in others
                if each.can_serve(model) and (each.hosted_tools or not hosted_tools)
            ),
        ]

    async def _begin(
        self, route: list[Upstream], request: TaskRequest, resumption: Resumption | None
    ) -> AsyncGenerator[Item, None]:
        """Yield the answer of the first upstream that says anything."""
        if not route:
            raise ModelRefused("model_not_found", "No upstream of this service has this model.")
        asked = self._able(route, request, resumption)
        faults: list[ModelError] = []
        for upstream, following in zip(asked, [*asked[1:], None], strict=True):
            if upstream is not route[0]:
                self._fell_back(route[0].name, upstream.name)
                log.info("fallback asked", upstream=route[0].name, fallback=upstream.name)
            said = False
            try:
                async with aclosing(_ask(upstream, request, resumption)) as items:
                    async for item in items:
                        if not said:
                            said = True
                            self._failed.pop(upstream.name, None)
                        yield item
            except (ModelUnavailable, ModelRefused) as fault:
                if said or not _may_pass_on(fault, upstream is route[0]):
                    raise
                if fault.code in _DOWN:
                    self._failed[upstream.name] = self._now()
                faults.append(fault)
                log.warning("upstream failed", upstream=upstream.name, code=fault.code)
            else:
                return
            if following is not None and not faults[-1].unbilled:
                yield ()  # the model may have worked; and the next one has its own time
        if len(asked) < len(route):
            words = "The upstream that could go on from the answer is down."
            raise ContinuationLost("continuation_lost", words) from faults[0]
        raise _told(faults)

    def _able(
        self, route: list[Upstream], request: TaskRequest, resumption: Resumption | None
    ) -> list[Upstream]:
        """Return those that can be asked, those that are down last."""
        said = Answer() if resumption is None else resumption.said
        able = [
            each
            for each in route
            if said == Answer() or each.model.goes_on(each.renamed(request), said)
        ]
        # One that cannot go on says so itself.
        return sorted(able or route[:1], key=self._is_down)

    def _is_down(self, upstream: Upstream) -> bool:
        failed = self._failed.get(upstream.name)
        return failed is not None and self._now() - failed < DOWN_FOR

    async def _read_on(
        self, request: TaskRequest, resumption: Resumption, kept: Continuation
    ) -> AsyncGenerator[Item, None]:
        """Yield the rest of an answer from the upstream that keeps it."""
        upstream, own = self._kept_at(kept)
        if upstream is None:
            words = "The settings no longer name the upstream that keeps the answer."
            raise ContinuationLost("continuation_lost", words)
        async with aclosing(
            _ask(upstream, request, replace(resumption, continuation=own))
        ) as items:
            async for item in items:
                yield item

    def _kept_at(self, kept: Continuation) -> tuple[Upstream | None, Continuation]:
        """Return the upstream that keeps an answer, and the continuation as it knows it."""
        name, _, response_id = (kept.response_id or "").partition(_SEPARATOR)
        upstream = self._upstreams.get(name)
        if upstream is None or not upstream.keeps:
            return None, kept
        keeper = upstream.model.keeper("") or ""
        return upstream, replace(kept, upstream=keeper, response_id=response_id)


def _ask(
    upstream: Upstream, request: TaskRequest, resumption: Resumption | None
) -> AsyncGenerator[Item, None]:
    asked = upstream.model.stream(upstream.renamed(request), resumption)
    return _named(upstream, asked) if upstream.keeps else asked


async def _named(
    upstream: Upstream, asked: AsyncGenerator[Item, None]
) -> AsyncGenerator[Item, None]:
    """Yield the answer of an upstream, with its name before the ids that it gives."""
    try:
        async with aclosing(asked) as items:
            async for item in items:
                yield Kept(_id_at(upstream, item.response_id)) if isinstance(item, Kept) else item
    except ContinuationLost as lost:
        if lost.resumes_at is not None:
            response_id, cursor = lost.resumes_at
            lost.resumes_at = (_id_at(upstream, response_id), cursor)
        raise


def _id_at(upstream: Upstream, response_id: str) -> str:
    return f"{upstream.name}{_SEPARATOR}{response_id}"


def _may_pass_on(fault: ModelError, first: bool) -> bool:
    """Whether another upstream is asked after a fault before the first piece. What the first one
    refuses is refused; what a fallback refuses, the first one may accept once it is up."""
    return isinstance(fault, ModelUnavailable) or not first or fault.code == _SPENT


def _told(faults: Sequence[ModelError]) -> ModelError:
    """Return which of the faults of all upstreams is the attempt's: one that may pass, if any."""
    told = next((each for each in faults if isinstance(each, ModelUnavailable)), faults[0])
    told.unbilled = all(each.unbilled for each in faults)
    return told
