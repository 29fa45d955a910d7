"""One event of a response's stream, from its bytes. No I/O.

Usual events are decoded by msgspec into one fixed type. What does not fit it is read as far as it
can be.
"""

import msgspec

from adapters.json_values import VALUES_LIMIT
from adapters.openai.responses.snapshot import decode
from domain.answer import JsonObject

NUMBER_LIMIT = 2**53


class Event(msgspec.Struct):
    type: str = ""
    sequence_number: int | None = None
    output_index: int = 0
    delta: str | None = None


_decode = msgspec.json.Decoder(Event).decode


def read_event(payload: bytes) -> tuple[Event, JsonObject | None]:
    """Return an event, and all its fields if it did not fit the usual type: then its texts may have
    halves of surrogate pairs. Raises ModelUnavailable."""
    data: JsonObject | None = None
    try:
        if len(payload) > VALUES_LIMIT:  # msgspec would pass over what it does not know
            raise msgspec.ValidationError
        event = _decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        data = {} if payload.strip() == b"[DONE]" else decode(payload)
        event = _fitting(data)
    number = event.sequence_number
    if number is not None and not 0 <= number < NUMBER_LIMIT:
        event.sequence_number = None
    return event, data


def _fitting(data: JsonObject) -> Event:
    """Return the fields of an event that have the types that they should have."""
    kind, number = data.get("type"), data.get("sequence_number")
    index, delta = data.get("output_index"), data.get("delta")
    return Event(
        kind if isinstance(kind, str) else "",
        number if type(number) is int else None,
        index if type(index) is int else 0,
        delta if isinstance(delta, str) else None,
    )
