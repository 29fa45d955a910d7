"""Reading the body of a start."""

import re
from collections.abc import AsyncGenerator
from typing import Any

import msgspec
from litestar import Request
from litestar.plugins.problem_details import ProblemDetailsException

from entrypoints.http.native.bodies import RequestDefaults, StartBody
from entrypoints.http.native.shape import shape_faults
from entrypoints.http.problems import FieldFault, bad_field, camel, invalid, problem
from entrypoints.http.start_bodies import SHORT, StartBodies

_decode_start = msgspec.json.Decoder(StartBody).decode
_decode_plain = msgspec.json.Decoder().decode
_EITHER = {"prompt", "messages"}
_NOT_WHOLE: FieldFault = {"field": "maxTokens", "message": "must be a whole number"}


class StartRequest(Request[Any, Any, Any]):
    """Reads the body of a start strictly. Litestar alone would accept "10" for 10.

    A form or plain text is refused: a page of another origin can send those without a preflight
    request, and must not start a task.
    """

    def stream(self) -> AsyncGenerator[bytes, None]:
        if 0 < (self.content_length or 0) <= SHORT:
            return super().stream()
        bodies: StartBodies = self.app.state.start_bodies
        return bodies.counted(super().stream())

    async def json(self) -> StartBody:
        media_type = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type != "application/json":
            raise problem(
                415,
                "unsupported-media-type",
                "The body must be application/json.",
                errors=[{"field": "Content-Type", "message": "must be application/json"}],
            )
        content = await self.body()
        try:
            body = _decode_start(content)
        except msgspec.ValidationError as error:
            raise _wrong_shape(content, error) from None
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise bad_field("body", "is not valid JSON") from None
        if isinstance(body.max_tokens, float) and not body.max_tokens.is_integer():
            raise _all_faults(_decode_plain(content), [_NOT_WHOLE])
        return body


def _wrong_shape(content: bytes, error: msgspec.ValidationError) -> ProblemDetailsException:
    """The problem of a body that is not of the shape of a start: everything that is wrong."""
    try:
        plain = _decode_plain(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return bad_field("body", "is not valid JSON")
    faults = shape_faults(plain, StartBody)
    if not isinstance(plain, dict) or not faults:
        # Without any: msgspec refuses what we do not, such as a number of more than 300 digits.
        field = str(error).partition("`$.")[2].rstrip("`")
        return invalid(faults or [{"field": field or "body", "message": "cannot be read"}])
    limit = plain.get("maxTokens")
    if isinstance(limit, float) and not limit.is_integer():
        faults.append(_NOT_WHOLE)
    return _all_faults(plain, faults)


def _all_faults(plain: dict[str, Any], faults: list[FieldFault]) -> ProblemDetailsException:
    """These faults, and the bounds that the other fields break."""
    wrong = {re.split(r"[.\[]", each["field"])[0] for each in faults}
    rest = {name: value for name, value in plain.items() if name not in wrong}
    try:
        request = msgspec.convert(rest, StartBody).request(RequestDefaults(model="any"))
    except msgspec.ValidationError:  # more is wrong than was named
        return invalid(faults)
    for fault in request.faults():
        # Whether one of the two is missing cannot be said if one is wrong.
        unsure = fault.field == "prompt" and request.prompt is None and wrong & _EITHER
        if not unsure:
            faults.append({"field": camel(fault.field), "message": fault.message})
    return invalid(faults)
