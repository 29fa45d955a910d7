"""The names that clients give to things which stay when a message has ended. Their length has a
bound: an entry of a batch could name a queue by megabytes."""

import re

from entrypoints.local_qstash.refusals import BadMessage
from entrypoints.local_qstash.sendable import CONTROL

NO_KEY = "$"
"""What QStash calls the messages without a flow-control key."""
LONGEST_KEY = 1_024
"""Characters of a flow-control key."""
_NAME = re.compile(r"[A-Za-z0-9._-]{1,256}", re.ASCII)


def checked_name(name: str, what: str) -> str:
    """Return the name of a queue, a schedule, a URL group or an endpoint. Raises BadMessage, which
    calls it `what`, if none may have it."""
    if _NAME.fullmatch(name) is None:
        raise BadMessage(
            f"invalid {what}: {name[:100]!r}: it may only have letters, digits, hyphens, periods"
            " and underscores, up to 256 of them"
        )
    return name


def checked_key(key: str) -> str:
    """Return a flow-control key. Raises BadMessage if no message may have it."""
    if key in ("", NO_KEY):
        raise BadMessage(
            f"invalid flow-control key: {key!r} ({NO_KEY} stands for the messages without one)"
        )
    if CONTROL.search(key) is not None:
        raise BadMessage(f"invalid flow-control key: {key[:100]!r} has a control character")
    if len(key) > LONGEST_KEY:
        raise BadMessage(f"a flow-control key has at most {LONGEST_KEY} characters")
    return key
