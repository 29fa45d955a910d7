"""The kinds of providers that the container's table is made of."""

from collections.abc import Callable
from pkgutil import resolve_name
from typing import Any

from dependency_injector import providers
from dependency_injector.providers import Selector, Singleton
from pydantic import SecretStr

_Provider = providers.Provider[Any]


def on_demand(name: str) -> Callable[..., Any]:
    """Return a class (`module:name`) whose module is imported when the first instance is made: the
    packages of an extra need not be installed, and importing redis-py takes a tenth of a start."""

    def make(*args: Any, **options: Any) -> Any:
        return resolve_name(name)(*args, **options)

    return make


def kept(choice: _Provider, *, memory: _Provider, file: _Provider, redis: _Provider) -> _Provider:
    """Return the provider of a part of the chosen store. Redis is the same store over its own
    protocol and over REST."""
    return Selector(choice, memory=memory, file=file, redis=redis, rest=redis)


def traced(choice: _Provider, tracing: _Provider, name: str, inner: _Provider) -> _Provider:
    """Return the provider of a part, which the adapter `name` traces if traces are made."""
    adapter = on_demand(f"adapters.opentelemetry:{name}")
    return Selector(choice, off=inner, otlp=Singleton(adapter, inner, tracing.provided.tracer))


def revealed(secret: SecretStr | None) -> str:
    """Return the text of a secret, which is empty if it is not set."""
    return "" if secret is None else secret.get_secret_value()
