"""What this service relies on of libraries that they do not document is where it was. A failure
names the attribute that an upgrade has moved."""

from types import FunctionType
from typing import Any

import pytest

from entrypoints.http.protocol.uvicorn_internals import PRIVATE_PARTS as UVICORN


def _has(kind: type[Any], name: str) -> bool:
    """Whether instances have the attribute: one of a class, or one that a constructor sets."""
    constructors = [vars(each).get("__init__") for each in kind.__mro__]
    return hasattr(kind, name) or any(
        name in each.__code__.co_names for each in constructors if isinstance(each, FunctionType)
    )


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind, names in UVICORN.items() for name in names]
)
def test_uvicorn_has_what_is_relied_on(kind: type[Any], name: str) -> None:
    assert _has(kind, name), f"uvicorn has moved {kind.__qualname__}.{name}"


def test_an_attribute_that_is_gone_is_named() -> None:
    [kind, *_] = UVICORN
    assert not _has(kind, "gone_with_an_upgrade")
