"""ModelRules: which models requests may name, and what may be asked of each.

Where the service has several upstreams, their map in the settings says it. What a task was accepted
with is not checked again once it runs.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from application.errors import ModelNotAllowed
from domain.errors import Fault, InvalidRequest
from domain.model_names import matches_any
from domain.options import asks_hosted_tools
from domain.request import MODEL_NAME_LIMIT, RequestBounds, TaskRequest

EVERYBODY = "*"
"""Stands for all owners that have no models of their own."""
NAMED = 20
"""Patterns of names that a message tells at most."""


@dataclass(frozen=True, slots=True)
class ServedModels:
    """The models of one upstream, and what it can do with a request."""

    patterns: tuple[str, ...]
    """Of their names (domain/model_names.py)."""
    prefill: bool = False
    """Whether it can go on from the beginning of an answer."""
    hosted_tools: bool = False
    """Whether it runs tools itself, and tells what they did."""


@dataclass(frozen=True, slots=True)
class ModelRules:
    served: tuple[ServedModels, ...] = ()
    """By upstream: the first with a pattern that matches a name serves it. Without any, requests
    may name any model."""
    owners: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Patterns of the models that an owner may use. An owner that is not among them, or a caller
    without a name, may use those of EVERYBODY; without that, all."""

    def check(
        self, request: TaskRequest, owner: str | None, bounds: RequestBounds, now: int | None = None
    ) -> None:
        """Check a request that is to be accepted (`now`: at this time). Raises InvalidRequest with
        everything that is out of bounds, else ModelNotAllowed."""
        faults = request.faults(bounds, now)
        if not any(each.field == "model" for each in faults):
            faults += self._faults(request, owner)
        if faults:
            raise InvalidRequest(faults)
        if not self._may_use(owner, request.model):
            raise ModelNotAllowed(request.model, _told(self._of(owner) or ()))

    def offers(self, name: str, owner: str | None) -> bool:
        """Whether a request of this owner may name the model."""
        return self._served_by(name) is not None and self._may_use(owner, name)

    def _faults(self, request: TaskRequest, owner: str | None) -> list[Fault]:
        served = self._served_by(request.model)
        if served is None:
            patterns = self._of(owner) or [each for of in self.served for each in of.patterns]
            return [Fault("model", f"must be one that this service has: {_told(patterns)}")]
        faults = []
        if request.prefill and not served.prefill:
            words = "must not be true: the server of this model does not continue answers so"
            faults.append(Fault("prefill", words))
        if not served.hosted_tools and asks_hosted_tools(request.options):
            words = "must hold no hosted tools: the server of this model runs none"
            faults.append(Fault("options.tools", words))
        return faults

    def _served_by(self, name: str) -> ServedModels | None:
        if not self.served:
            return _ANY
        if len(name) > MODEL_NAME_LIMIT:
            return None
        return next((each for each in self.served if matches_any(each.patterns, name)), None)

    def _of(self, owner: str | None) -> tuple[str, ...] | None:
        """Return the patterns of an owner. None: it may use all models."""
        own = None if owner is None else self.owners.get(owner)
        return self.owners.get(EVERYBODY) if own is None else own

    def _may_use(self, owner: str | None, name: str) -> bool:
        patterns = self._of(owner)
        return patterns is None or matches_any(patterns, name)


_ANY = ServedModels(("*",), prefill=True, hosted_tools=True)
"""Where the settings name one upstream, the bounds of requests say what it can do."""
ANY_MODEL = ModelRules()


def _told(patterns: tuple[str, ...] | list[str]) -> str:
    more = f" and {len(patterns) - NAMED} more" if len(patterns) > NAMED else ""
    return ", ".join(patterns[:NAMED]) + more
