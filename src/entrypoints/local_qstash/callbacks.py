"""Callbacks: messages that report a delivery, or that a message was given up.

Source: QStash's documentation, features/callbacks.
"""

import base64
import time
from collections.abc import Mapping
from typing import Any

import msgspec
import structlog

from entrypoints.local_qstash.delivery_response import DeliveryResponse
from entrypoints.local_qstash.message import QueuedMessage
from entrypoints.local_qstash.publish_headers import read_message
from entrypoints.local_qstash.refusals import Refused

log = structlog.get_logger(__name__)


def callback_of(
    message: QueuedMessage,
    response: DeliveryResponse,
    url: str | None,
    headers: Mapping[str, str],
    more: Mapping[str, Any],
) -> QueuedMessage | None:
    """Return the callback to this URL, a message of its own whose JSON has `more` in addition, or
    None without a URL. It has the retries of its source unless its headers say otherwise. One that
    cannot be made (by its headers, for example) is logged, and is None, too: a delivery cannot be
    undone."""
    if url is None:
        return None
    try:
        return _made(message, response, url, headers, more)
    except Refused as error:
        log.error("callback not published", message_id=message.id, error=str(error))
    except Exception:
        log.exception("callback not published", message_id=message.id)
    return None


def _made(
    message: QueuedMessage,
    response: DeliveryResponse,
    url: str,
    headers: Mapping[str, str],
    more: Mapping[str, Any],
) -> QueuedMessage:
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
