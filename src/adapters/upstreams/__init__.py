"""LanguageModel over several upstreams, each a LanguageModel of its own: the name of a model says
which one is asked."""

from adapters.upstreams.model import RoutedModel
from adapters.upstreams.upstream import Upstream

__all__ = ["RoutedModel", "Upstream"]
