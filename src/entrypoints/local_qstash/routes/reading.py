"""What the routes read of requests, and the refusals that several of them have."""

from typing import Any

import msgspec
from litestar import Request
from litestar.enums import HttpMethod
from litestar.exceptions import HTTPException

from entrypoints.local_qstash.filters import Kind, Search, read_search
from entrypoints.local_qstash.refusals import BadMessage


def not_found(what: str) -> HTTPException:
    return HTTPException(f"{what} not found", status_code=404)


async def json_of(request: Request[Any, Any, Any]) -> Any:
    """Return the body as JSON, None if there is none. Raises BadMessage."""
    try:
        return msgspec.json.decode(await request.body() or b"null")
    except (ValueError, RecursionError):  # also for half of a surrogate pair
        raise BadMessage("the body is not JSON") from None


async def search_of(request: Request[Any, Any, Any], kind: Kind) -> Search:
    """Return what a call is about, by its query and its body. Raises BadMessage."""
    body = None if request.method == HttpMethod.GET else await json_of(request)
    return read_search(kind, request.query_params.multi_items(), body)


def page(name: str, shown: object, following: str | None) -> dict[str, Any]:
    """Return a page by this name, and the cursor of the next one if there is one."""
    return {name: shown} if following is None else {name: shown, "cursor": following}


def headers_of(request: Request[Any, Any, Any]) -> dict[str, str | list[str]]:
    """Return the headers. One that was sent several times has a list."""
    items = [
        (name.decode("latin-1"), value.decode("latin-1"))
        for name, value in request.scope["headers"]
    ]
    found: dict[str, str | list[str]] = dict(items)
    if len(found) < len(items):
        values: dict[str, list[str]] = {}
        for name, value in items:
            values.setdefault(name, []).append(value)
        found |= {name: each for name, each in values.items() if len(each) > 1}
    return found
