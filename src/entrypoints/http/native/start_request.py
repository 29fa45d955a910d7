"""Reading the body of a start, and naming everything that is wrong with it and its key."""

import re
from typing import Any

import msgspec
from litestar import Request
from litestar.plugins.problem_details import ProblemDetailsException

from domain.request import FAULTS_LIMIT, RequestBounds
from entrypoints.http.idempotency_key import key_faults
from entrypoints.http.json_body import BadBody, decoded, read_content
from entrypoints.http.native.shape import shape_faults
from entrypoints.http.native.start_body import (
    FLOW_NUMBERS,
    MALFORMED_TIME,
    WHOLE_NUMBERS,
    StartBody,
)
from entrypoints.http.problems import FieldFault, camel, invalid
from entrypoints.http.request_defaults import RequestDefaults
from entrypoints.identity import SystemClock
from entrypoints.times import EARLIEST_MILLISECONDS, milliseconds_of

_decode_start = msgspec.json.Decoder(StartBody).decode
_decode_plain = msgspec.json.Decoder().decode
SECONDS_GIVEN = "must be milliseconds since 1970, not seconds"
_FIELDS = {each.encode_name for each in msgspec.structs.fields(StartBody)}
_WHOLE = {camel(name): name for name in WHOLE_NUMBERS}


class StartRequest(Request[Any, Any, Any]):
    """Reads the body of a start strictly. Litestar alone would accept "10" for 10."""

    async def json(self) -> StartBody:
        content = await read_content(self)
        faults = key_faults(self.headers.get("idempotency-key"))
        bounds: RequestBounds = self.app.state.request_bounds
        try:
            body = decoded(content, _decode_start)
        except BadBody as bad:
            raise _refusal([*faults, bad.fault]) from None
        except msgspec.ValidationError as error:
            raise _refusal(faults + _body_faults(content, error, bounds)) from None
        numbers = {name: getattr(body, own) for name, own in _WHOLE.items()}
        if body.flow_control is not None:
            numbers["flowControl"] = msgspec.structs.asdict(body.flow_control)
        if body.budget is not None:
            numbers["budget"] = {"tokens": body.budget.tokens}
        faults += _number_faults(numbers)
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
        plain = decoded(content, _decode_plain)
    except msgspec.ValidationError:  # JSON with a number that cannot be read
        return [_unreadable(error)]
    except BadBody as bad:
        return [bad.fault]
    faults = shape_faults(plain, StartBody)
    if not faults:  # msgspec refuses what we do not, such as a number of more than 300 digits
        return [_unreadable(error)]
    if not isinstance(plain, dict):
        return faults
    faults += _number_faults(plain)
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
        for fault in request.faults(bounds, SystemClock().now())
        if not (unsure and fault.field == "prompt")
    ]


def _number_faults(plain: dict[str, Any]) -> list[FieldFault]:
    """What is wrong with the fields that are whole numbers, apart from their types: fractions, and
    a time that is none, or in seconds."""
    numbers = {name: plain.get(name) for name in _WHOLE}
    if isinstance(flow := plain.get("flowControl"), dict):
        numbers |= {f"flowControl.{name}": flow.get(name) for name in FLOW_NUMBERS}
    if isinstance(budget := plain.get("budget"), dict):
        numbers["budget.tokens"] = budget.get("tokens")
    fractions = [
        name
        for name, number in numbers.items()
        if isinstance(number, float) and not number.is_integer()
    ]
    faults: list[FieldFault] = [
        {"field": name, "message": "must be a whole number"} for name in fractions
    ]
    if "notBefore" not in fractions and (wrong := _time_fault(numbers["notBefore"])) is not None:
        faults.append({"field": "notBefore", "message": wrong})
    return faults


def _time_fault(time: object) -> str | None:
    if isinstance(time, str):
        return MALFORMED_TIME if milliseconds_of(time) is None else None
    if isinstance(time, int | float) and not isinstance(time, bool):
        return SECONDS_GIVEN if time < EARLIEST_MILLISECONDS else None
    return None
