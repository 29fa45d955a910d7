"""Which flow control of QStash the message of a task has.

QStash holds messages with one key back while as many of them are being delivered, or have begun in
a period, as they allow. The key is that of the owner, or one of its own that the request names. A
message has one key only: where it is not the owner's, the owner's share is held at the delivery
(application/owner_shares.py).
"""

import hashlib
from typing import Any

from domain.flow_control import FlowControl, Share, Shares

_OWNER_DIGITS = 16
_NO_OWNER = ":all"
"""In place of the name of an owner, which never begins so."""


def owner_key(owner: str | None) -> str:
    """Return the key of an owner's messages. QStash shows it in its console, where the names of
    owners have no business."""
    text = _NO_OWNER if owner is None else owner
    return hashlib.sha256(text.encode()).hexdigest()[:_OWNER_DIGITS]


def flow_of(owner: str | None, own: FlowControl | None, shares: Shares) -> dict[str, Any] | None:
    """Return the parameter `flow_control` of QStash's SDK, None if nothing limits the task. `own`:
    what its request asks for."""
    if own is not None:
        return {"key": f"{owner_key(owner)}.{own.key}", **_limits(own)}
    share = shares.of(owner)
    return None if share is None else {"key": owner_key(owner), **_limits(share)}


def _limits(share: Share) -> dict[str, int]:
    limits = {} if share.parallelism is None else {"parallelism": share.parallelism}
    return limits if share.rate is None else limits | {"rate": share.rate, "period": share.period}
