"""Reading a body that must be JSON, within bounds on what it costs to decode.

A form or plain text is refused: a page of another origin can send those without a preflight
request, and must not start a task. With a bearer token, plain text needs a preflight request, too.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from litestar import Request

from adapters.json_values import VALUES_LIMIT, has_few_values
from entrypoints.http.problems import FieldFault, invalid, problem

T = TypeVar("T")

_decode = msgspec.json.Decoder().decode
_NOT_JSON: FieldFault = {"field": "body", "message": "is not valid JSON"}
_NO_OBJECT: FieldFault = {"field": "body", "message": "must be an object"}
_UNREADABLE: FieldFault = {"field": "body", "message": "holds a number that cannot be read"}
_TOO_DEEP: FieldFault = {"field": "body", "message": "is nested too deep"}
_TOO_MANY: FieldFault = {
    "field": "body",
    "message": f"must hold at most {VALUES_LIMIT} strings, numbers, arrays and objects",
}


class BadBody(Exception):
    """Raised for a body that is no JSON, or too much of it."""

    def __init__(self, fault: FieldFault) -> None:
        super().__init__(fault["message"])
        self.fault = fault


async def read_content(request: Request[Any, Any, Any], *, plain_text: bool = False) -> bytearray:
    """Return a body that says that it is JSON, or with `plain_text`, that it is plain text whose
    request has a bearer token. Raises a problem (415)."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    # Other schemes do not count: a browser may add them on its own.
    bearer = request.headers.get("authorization", "").lower().startswith("bearer ")
    if media_type != "application/json" and not (
        plain_text and bearer and media_type == "text/plain"
    ):
        raise problem(
            415,
            "unsupported-media-type",
            "The body must be application/json.",
            errors=[{"field": "Content-Type", "message": "must be application/json"}],
        )
    content = bytearray()
    # Not `request.body()`, which keeps it until the request is answered.
    async for chunk in request.stream():
        content += chunk
    return content


def decoded(content: bytearray, decode: Callable[[bytearray], T]) -> T:
    """Return what a decoder of msgspec makes of a body. Raises BadBody, and
    msgspec.ValidationError for JSON that does not have the decoder's type, or that holds a number
    which cannot be read."""
    if not has_few_values(content):
        raise BadBody(_TOO_MANY)
    try:
        return decode(content)
    except msgspec.ValidationError:
        raise
    except RecursionError:
        raise BadBody(_TOO_DEEP) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise BadBody(_NOT_JSON) from None


async def read_json_object(
    request: Request[Any, Any, Any], *, plain_text: bool = False, optional: bool = False
) -> dict[str, Any]:
    """Return the object that is the body of a request. `plain_text`: see `read_content`.
    `optional`: no body is an empty object. Raises a problem (400, 413 or 415)."""
    headers = request.headers
    sent = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
    if optional and not sent:
        return {}
    content = await read_content(request, plain_text=plain_text)
    try:
        body = decoded(content, _decode)
    except BadBody as bad:
        raise invalid([bad.fault]) from None
    except msgspec.ValidationError:
        raise invalid([_UNREADABLE]) from None
    if not isinstance(body, dict):
        raise invalid([_NO_OBJECT])
    return body
