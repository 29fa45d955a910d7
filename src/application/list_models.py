"""ListModels: what requests may name as their model, as the model's server lists it."""

import asyncio
import time
from collections.abc import Callable, Sequence

import structlog

from application.errors import ModelError
from application.model_rules import ANY_MODEL, ModelRules
from application.ports import LanguageModel, OfferedModel

log = structlog.get_logger(__name__)

KEPT = 60.0
"""Seconds for which a list is not asked for again."""
FAILURE_KEPT = 5.0
"""Seconds for which the server is not asked again after it did not list its models."""


class ListModels:
    def __init__(
        self,
        model: LanguageModel,
        default: str,
        rules: ModelRules = ANY_MODEL,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """`default`: the model of requests that name none. `rules`: who may name which."""
        self._model = model
        self._default = default
        self._rules = rules
        self._now = now
        self._listed: Sequence[OfferedModel] = ()
        self._until = 0.0
        self._asking = asyncio.Lock()

    async def __call__(self, owner: str | None = None) -> Sequence[OfferedModel]:
        """Return the models that an owner may name, the default one first: alone, if the server
        lists none."""
        return [each for each in await self._all() if self._rules.offers(each.name, owner)]

    async def _all(self) -> Sequence[OfferedModel]:
        async with self._asking:
            if not self._listed or self._now() >= self._until:
                kept = KEPT
                try:
                    offered = await self._model.models()
                except ModelError as error:
                    log.warning("models not listed", code=error.code, error=error.message)
                    offered, kept = (), FAILURE_KEPT
                self._listed = self._with_default(offered)
                self._until = self._now() + kept
            return self._listed

    def _with_default(self, offered: Sequence[OfferedModel]) -> Sequence[OfferedModel]:
        models = {each.name: each for each in offered}
        default = models.pop(self._default, OfferedModel(self._default, 0, ""))
        return [default, *models.values()]
