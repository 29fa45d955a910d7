"""What this service relies on of Litestar that Litestar does not document.

When an upgrade moves any of it, tests/unit/test_private_parts.py fails and names it.
"""

import re
from collections.abc import Mapping
from typing import Any

from litestar.exceptions import HTTPException
from litestar.response.base import ASGIResponse
from litestar.types import HTTPScope

PRIVATE_PARTS = {ASGIResponse: ("_should_set_content_length", "send_body")}
"""By class: its attributes and methods."""
CLIENT_GONE = "client disconnected prematurely"
MISSING = "Missing required "
WORDS = {"litestar.connection.request": CLIENT_GONE, "litestar._kwargs.extractors": MISSING}
"""By module: what it writes into an exception, and what is read there."""


class UnsizedResponse(ASGIResponse):
    """A response whose length is not known when it begins: `send_body` writes its pieces."""

    __slots__ = ()
    _should_set_content_length = False


def handler_options(scope: HTTPScope) -> Mapping[str, Any]:
    """The `opt` of the handler that a request was routed to; empty if no route matches."""
    handler = scope.get("route_handler")
    return {} if handler is None else handler.opt


def is_client_gone(error: HTTPException) -> bool:
    """Whether the body ended early. Litestar calls that a fault of the server (500)."""
    return error.detail == CLIENT_GONE


def missing_parameter(error: HTTPException) -> str:
    """The name of the query parameter that is missing; empty if none is."""
    found = re.search(rf"{MISSING}query parameter '(\w+)'", error.detail)
    return found[1] if found else ""
