"""The message that tells of a delivery, or of a message that was given up.

Source: QStash's documentation, features/callbacks.
"""

import base64
import time
from collections.abc import Mapping

import msgspec
import structlog

from entrypoints.local_qstash.dead_letters import DeadLetter
from entrypoints.local_qstash.delivery_response import DeliveryResponse
from entrypoints.local_qstash.message import QueuedMessage
from entrypoints.local_qstash.publish_headers import read_message
from entrypoints.local_qstash.refusals import Refused
from entrypoints.local_qstash.workflow_headers import told_of_run

log = structlog.get_logger(__name__)


def callback_of(
    message: QueuedMessage,
    response: DeliveryResponse,
    url: str,
    headers: Mapping[str, str],
    **more: str,
) -> QueuedMessage:
    """Return the callback, a message of its own. It has the retries of its source unless its
    headers say otherwise. Raises BadMessage for headers that no message may have."""
    body = {
        "status": response.status,
        "header": dict(response.headers),
        "body": base64.b64encode(response.body).decode(),
        "retried": message.retried,
        "maxRetries": message.retries,
        "sourceMessageId": message.id,
        "url": message.url,
        "method": message.method,
        "sourceHeader": message.headers,
        "sourceBody": base64.b64encode(message.body).decode(),
        "notBefore": message.not_before,
        "createdAt": message.created_at,
        "callerIP": message.caller_ip or "",
        "topicName": message.url_group,
        "endpointName": message.endpoint,
        "scheduleId": message.schedule_id,
        **told_of_run(message),
        **more,
    }
    body = {name: value for name, value in body.items() if value is not None}
    inherited = {"Upstash-Retries": str(message.retries), "Content-Type": "application/json"}
    if message.retry_delay is not None:
        inherited["Upstash-Retry-Delay"] = str(message.retry_delay)
    # Without spaces, as JSON.stringify would write it again: behind Express's json() a receiver has
    # only that to compare with the signature.
    told = msgspec.json.encode(body)
    return read_message(url, {**inherited, **headers}, told, now=time.time())


def failure_callback_of(letter: DeadLetter) -> QueuedMessage | None:
    """Return the callback that tells that the message was given up, or None if it asks for none. It
    replaces its message, so it is never too large, and the queue never too full for it."""
    message = letter.message
    if message.failure_callback is None:
        return None
    headers = message.failure_callback_headers
    try:
        return callback_of(
            message, letter.response, message.failure_callback, headers, dlqId=letter.id
        )
    except Refused as error:
        log.error("callback not published", message_id=message.id, error=str(error))
        return None
