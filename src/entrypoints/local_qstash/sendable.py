"""What a request can carry: clients give headers in JSON, too, where they may have any characters.

Source: RFC 9110, section 5.
"""

import re
from collections.abc import Mapping, Sequence

from entrypoints.local_qstash.refusals import BadMessage

Headers = Mapping[str, str | Sequence[str]]
"""By name. One that was sent several times has a list."""

CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", re.ASCII)
_NOT_IN_VALUES = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_NOT_FORWARDED = frozenset(
    (
        # A request's own body decides these.
        "content-length",
        "transfer-encoding",
        # The delivery says these itself. A receiver must find one signature, and no origin that
        # a publisher has made up.
        "upstash-signature",
        "upstash-message-id",
        "upstash-retried",
        "upstash-caller-ip",
        "upstash-schedule-id",
        "upstash-topic-name",
    )
)


def checked_headers(headers: Headers) -> Headers:
    """Return the headers without the white space around their values, as HTTP reads them. Raises
    BadMessage for a name or a value that no request can carry."""
    checked: dict[str, str | Sequence[str]] = {}
    for name, value in headers.items():
        if _NAME.fullmatch(name) is None or name[-9:].lower() == "-forward-":
            raise BadMessage(f"invalid header {name[:100]!r}: this is no name of a header")
        if isinstance(value, str):
            checked[name] = _checked(name, value)
        else:
            checked[name] = [_checked(name, each) for each in value]
    return checked


def may_be_forwarded(name: str) -> bool:
    """Whether a delivery has the header of this name as its publisher has given it."""
    return name.lower() not in _NOT_FORWARDED


def _checked(name: str, value: str) -> str:
    found = _NOT_IN_VALUES.search(value)
    if found is not None:
        raise BadMessage(
            f"invalid {name[:100]}: its value has {found[0]!r}, which no header may have"
        )
    return value.strip(" \t")
