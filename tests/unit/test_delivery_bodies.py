"""The limits of what the queue may send, which follow from the bound of a message."""

import base64
import json

import pytest

from adapters.qstash import MESSAGE_LIMIT
from entrypoints.http.delivery_bodies import QUEUED_BEFORE, RESPONSE_LIMIT, DeliveryBodies

MIB = 1024 * 1024


@pytest.mark.parametrize("bound", [1024, MESSAGE_LIMIT, 2 * MIB, 8 * MIB])
def test_the_limits_follow_from_the_bound_of_a_message(bound: int) -> None:
    """Also what was published under a higher bound by the version before is read."""
    bodies = DeliveryBodies(bound)
    assert bodies.task_limit == max(bound, QUEUED_BEFORE)
    callback = {
        "status": 500,
        "header": {"Some": ["header " * 100] * 10},
        "body": base64.b64encode(b"x" * RESPONSE_LIMIT).decode(),
        "retried": 3,
        "sourceMessageId": "msg_1",
        "url": "https://example.org/longtask/api/qstash/webhook",
        "sourceHeader": {"Content-Type": ["application/json"]},
        "sourceBody": base64.b64encode(b"x" * bodies.task_limit).decode(),
    }
    size = len(json.dumps(callback))
    assert bodies.failure_limit - 64 * 1024 < size <= bodies.failure_limit


def test_a_failure_callback_fits_into_a_message_of_the_smallest_plan() -> None:
    """1 MB: it is a message of its own."""
    assert 4 * MESSAGE_LIMIT // 3 + 64 * 1024 < 1_000_000
