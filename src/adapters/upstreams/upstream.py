"""One of several upstreams: which models it has, and which upstreams are asked in its place."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from application.ports import LanguageModel
from domain.model_names import is_exact, matches, matches_any
from domain.request import TaskRequest


@dataclass(frozen=True, slots=True)
class Upstream:
    name: str
    """Stands in records, logs, metrics and the list of models."""
    model: LanguageModel
    patterns: tuple[str, ...]
    """Of the names of its models (domain/model_names.py)."""
    read_timeout: float
    """Seconds without a piece after which an attempt is lost."""
    names: Mapping[str, str] = field(default_factory=dict)
    """What it calls a model, by a pattern of the name that requests give it. The first that matches
    counts."""
    fallback: tuple[str, ...] = ()
    """The names of those that are asked while it is down, in this order."""
    hosted_tools: bool = False
    """Whether it runs tools itself."""

    @property
    def keeps(self) -> bool:
        """Whether it keeps its answers."""
        return self.model.keeper("") is not None

    @property
    def exact(self) -> tuple[str, ...]:
        """The models that the settings name without a pattern."""
        return tuple(filter(is_exact, self.patterns))

    def has(self, model: str) -> bool:
        """Whether a model is one of its own."""
        return matches_any(self.patterns, model)

    def can_serve(self, model: str) -> bool:
        """Whether it can be asked for a model, as a fallback too."""
        return matches_any((*self.patterns, *self.names), model)

    def renamed(self, request: TaskRequest) -> TaskRequest:
        """Return the request as this upstream is asked it."""
        for pattern, name in self.names.items():
            if matches(pattern, request.model):
                return replace(request, model=name)
        return request
