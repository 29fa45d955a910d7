"""What the routes read of requests, and the refusals that several of them have."""

from typing import Any

import msgspec
from litestar import Request
from litestar.exceptions import HTTPException

from entrypoints.local_qstash.refusals import BadMessage


def not_found(what: str) -> HTTPException:
    return HTTPException(f"{what} not found", status_code=404)


async def json_of(request: Request[Any, Any, Any]) -> Any:
    """Return the body as JSON, None if there is none. Raises BadMessage."""
    try:
        return msgspec.json.decode(await request.body() or b"null")
    except (ValueError, RecursionError):  # also for half of a surrogate pair
        raise BadMessage("the body is not JSON") from None


def ids_in(given: Any, name: str) -> list[str]:
    ids = given.get(name) if isinstance(given, dict) else None
    if not isinstance(ids, list):
        raise BadMessage(f"{name} must be a list")
    return [str(each) for each in ids]
