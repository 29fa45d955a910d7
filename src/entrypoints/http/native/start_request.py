"""Reading the body of a start, and naming everything that is wrong with it and its key."""

import re
from typing import Any

import msgspec
from litestar import Request
from litestar.plugins.problem_details import ProblemDetailsException

from adapters.json_values import VALUES_LIMIT, has_few_values
from domain.request import FAULTS_LIMIT, RequestBounds
from entrypoints.http.native.bodies import RequestDefaults, StartBody
from entrypoints.http.native.parameters import key_faults
from entrypoints.http.native.shape import shape_faults
from entrypoints.http.problems import FieldFault, camel, invalid, problem

_decode_start = msgspec.json.Decoder(StartBody).decode
_decode_plain = msgspec.json.Decoder().decode
_FIELDS = {each.encode_name for each in msgspec.structs.fields(StartBody)}
_NOT_JSON: FieldFault = {"field": "body", "message": "is not valid JSON"}
_TOO_DEEP: FieldFault = {"field": "body", "message": "is nested too deep"}
_TOO_MANY: FieldFault = {
    "field": "body",
    "message": f"must hold at most {VALUES_LIMIT} strings, numbers, arrays and objects",
}
_WHOLE = ("maxTokens", "ttl")


class StartRequest(Request[Any, Any, Any]):
    """Reads the body of a start strictly. Litestar alone would accept "10" for 10.

    A form or plain text is refused: a page of another origin can send those without a preflight
    request, and must not start a task.
    """

    async def json(self) -> StartBody:
        media_type = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type != "application/json":
            raise problem(
                415,
                "unsupported-media-type",
                "The body must be application/json.",
                errors=[{"field": "Content-Type", "message": "must be application/json"}],
            )
        content = bytearray()
        # Not `self.body()`, which keeps it until the start is answered.
        async for chunk in self.stream():
            content += chunk
        faults = key_faults(self.headers.get("idempotency-key"))
        bounds: RequestBounds = self.app.state.request_bounds
        if not has_few_values(content):
            raise _refusal([*faults, _TOO_MANY])
        try:
            body = _decode_start(content)
        except msgspec.ValidationError as error:
            raise _refusal(faults + _body_faults(content, error, bounds)) from None
        except RecursionError:
            raise _refusal([*faults, _TOO_DEEP]) from None
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise _refusal([*faults, _NOT_JSON]) from None
        faults += _fraction_faults({"maxTokens": body.max_tokens, "ttl": body.ttl})
        if faults:
            raise _refusal(faults + _bound_faults(_decode_plain(content), faults, bounds))
        return body


def _refusal(faults: list[FieldFault]) -> ProblemDetailsException:
    return invalid(faults[:FAULTS_LIMIT])


def _body_faults(
    content: bytearray, error: msgspec.ValidationError, bounds: RequestBounds
) -> list[FieldFault]:
    """Everything that is wrong with a body that is not of the shape of a start."""
    try:
        plain = _decode_plain(content)
    except msgspec.ValidationError:  # JSON with a number that cannot be read
        return [_unreadable(error)]
    except RecursionError:
        return [_TOO_DEEP]
    except (msgspec.DecodeError, UnicodeDecodeError):
        return [_NOT_JSON]
    faults = shape_faults(plain, StartBody)
    if not faults:  # msgspec refuses what we do not, such as a number of more than 300 digits
        return [_unreadable(error)]
    if not isinstance(plain, dict):
        return faults
    faults += _fraction_faults(plain)
    return faults + _bound_faults(plain, faults, bounds)


def _unreadable(error: msgspec.ValidationError) -> FieldFault:
    """The fault of the field that msgspec names."""
    field = str(error).partition("`$.")[2].rstrip("`")
    return {"field": field or "body", "message": "cannot be read"}


def _bound_faults(
    plain: dict[str, Any], faults: list[FieldFault], bounds: RequestBounds
) -> list[FieldFault]:
    """The bounds that the other fields of a body break, of which these faults are known."""
    wrong = {re.split(r"[.\[]", each["field"])[0] for each in faults}
    rest = {name: value for name, value in plain.items() if name in _FIELDS - wrong}
    if "previousTaskId" in wrong:  # results of tools may belong to its calls
        rest["previousTaskId"] = "any"
    try:
        request = msgspec.convert(rest, StartBody).request(RequestDefaults(model="any"))
    except msgspec.ValidationError:  # more is wrong than was named
        return []
    # Whether both of the two are missing cannot be said if one of them is wrong.
    unsure = request.prompt is None and bool(wrong & {"prompt", "messages"})
    return [
        {"field": camel(fault.field), "message": fault.message}
        for fault in request.faults(bounds)
        if not (unsure and fault.field == "prompt")
    ]


def _fraction_faults(plain: dict[str, Any]) -> list[FieldFault]:
    numbers = {name: plain.get(name) for name in _WHOLE}
    return [
        {"field": name, "message": "must be a whole number"}
        for name, number in numbers.items()
        if isinstance(number, float) and not number.is_integer()
    ]
