"""What is remembered of models: the parameters that they refuse, and what of their answers is not
carried."""

from collections.abc import Iterable

import structlog

from adapters.openai.oddities import NAMES_LIMIT
from adapters.openai.reports import read_report

log = structlog.get_logger(__name__)

MODELS_REMEMBERED = 1_000
"""Models of which something is remembered. The first one is forgotten for another."""


class KnownModels:
    def __init__(self, replaceable: Iterable[str]) -> None:
        """`replaceable`: the parameters of ours that can be left out or replaced."""
        self._replaceable = frozenset(replaceable)
        self._refused: dict[str, frozenset[str]] = {}
        self._left_out: dict[str, frozenset[str]] = {}

    def refused(self, model: str) -> frozenset[str]:
        """Return the parameters that are not sent to a model."""
        return self._refused.get(model, frozenset())

    def learn_refusal(
        self, model: str, sent: Iterable[str], refused: frozenset[str], body: object
    ) -> bool:
        """Return whether the body of an error refuses parameters that can be left out or replaced.
        They are remembered for the model. `refused`: what was known when the call began."""
        wanted = read_report(body).refused(self._replaceable.intersection(sent))
        # Other calls may have learnt more since this one began: what is known only grows, so that a
        # call is repeated at most once for each parameter.
        if wanted and (new := _remember(self._refused, model, refused | wanted)):
            log.warning("parameters refused", model=model, parameters=sorted(new))
        return bool(wanted)

    def tell_left_out(self, model: str, names: set[str]) -> None:
        """Log, once per model, what its answers hold that is not carried."""
        many = len(self._left_out.get(model, ())) >= NAMES_LIMIT  # a server may make up any number
        if names and not many and (new := _remember(self._left_out, model, frozenset(names))):
            log.warning("parts of answers are not carried", model=model, fields=sorted(new))


def _remember(
    known: dict[str, frozenset[str]], model: str, names: frozenset[str]
) -> frozenset[str]:
    """Add names to those that are known of a model. Return the new ones."""
    before = known.pop(model, frozenset())
    if len(known) >= MODELS_REMEMBERED:  # clients may name any number of models
        del known[next(iter(known))]
    known[model] = before | names
    return names - before
