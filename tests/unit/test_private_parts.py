"""What this service relies on of libraries that they do not document is where it was. A failure
names the part that an upgrade has moved."""

from importlib import import_module
from inspect import getsource
from types import FunctionType
from typing import Any

import pytest

from adapters.openai import client_internals
from adapters.qstash import sdk_internals
from entrypoints.http import litestar_internals
from entrypoints.http.protocol import uvicorn_internals

PARTS: list[tuple[type[Any], str]] = [
    (kind, name)
    for parts in (
        uvicorn_internals.PRIVATE_PARTS,
        litestar_internals.PRIVATE_PARTS,
        sdk_internals.PRIVATE_PARTS,
        client_internals.PRIVATE_PARTS,
    )
    for kind, names in parts.items()
    for name in names
]
WORDS = {**litestar_internals.WORDS, **sdk_internals.WORDS, **client_internals.WORDS}


def _has(kind: type[Any], name: str) -> bool:
    """Whether instances have the attribute: one of a class, or one that a constructor sets."""
    constructors = [vars(each).get("__init__") for each in kind.__mro__]
    return hasattr(kind, name) or any(
        name in each.__code__.co_names for each in constructors if isinstance(each, FunctionType)
    )


@pytest.mark.parametrize(("kind", "name"), PARTS)
def test_private_parts_are_where_they_were(kind: type[Any], name: str) -> None:
    assert _has(kind, name), f"an upgrade has moved {kind.__module__}.{kind.__qualname__}.{name}"


@pytest.mark.parametrize("module", WORDS)
def test_messages_that_are_read_say_what_they_said(module: str) -> None:
    assert WORDS[module] in getsource(import_module(module)), f"{module}: {WORDS[module]!r}"


def test_an_attribute_that_is_gone_is_found_missing() -> None:
    assert not _has(PARTS[0][0], "gone_with_an_upgrade")
