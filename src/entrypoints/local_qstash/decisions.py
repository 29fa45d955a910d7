"""What a delivery leads to: the end of its message, another delivery, a dead letter, callbacks.

Sources of the rules: QStash's documentation, features/retry, callbacks, dlq.
"""

from collections.abc import Callable

import structlog

from entrypoints.local_qstash.callbacks import callback_of
from entrypoints.local_qstash.dead_letters import DeadLetter
from entrypoints.local_qstash.delivery_response import DeliveryResponse
from entrypoints.local_qstash.journal import Journal
from entrypoints.local_qstash.message import QueuedMessage
from entrypoints.local_qstash.pauses import again_at
from entrypoints.local_qstash.states import State
from entrypoints.local_qstash.store import Outcome
from entrypoints.local_qstash.workflow_headers import told_of_run

log = structlog.get_logger(__name__)

FirstBody = Callable[[QueuedMessage], str | None]
"""Returns the body (base64) that started the run of which the message is a step, or None."""


def outcome_of(
    message: QueuedMessage,
    response: DeliveryResponse,
    fits: Callable[[QueuedMessage], bool],
    first_body: FirstBody,
) -> Outcome:
    """Return what a delivery with this response leads to. `fits`: whether there is room for a
    callback. One for which there is none is not published."""
    callback = _callback(message, response, fits, first_body)
    if response.delivered:
        return Outcome(message_id=message.id, callback=callback)
    if not response.final and message.retried < message.retries:
        at = again_at(message, response)
        return Outcome(message_id=message.id, callback=callback, again_at=at)
    letter = DeadLetter.of(message, response)
    # It replaces its message, so it is never too large, and the queue never too full for it: unless
    # the body with which a run was started makes it longer.
    failure = _failure_callback(letter, first_body(message))
    if failure is not None and not fits(failure):
        failure = _failure_callback(letter, None)
    return Outcome(message_id=message.id, callback=callback, letter=letter, failure=failure)


def note_outcome(
    journal: Journal, message: QueuedMessage, response: DeliveryResponse, outcome: Outcome | None
) -> None:
    """Note what a delivery has led to. `outcome`: None if the message was cancelled meanwhile."""
    if response.delivered:
        journal.note(message, State.DELIVERED)
        return
    journal.note(message, State.ERROR, response)
    if outcome is None:
        journal.note(message, State.CANCELED)
    elif outcome.again_at is not None:
        journal.note(message, State.RETRY, next_at=outcome.again_at)
    else:
        journal.note(message, State.FAILED)


def _callback(
    message: QueuedMessage,
    response: DeliveryResponse,
    fits: Callable[[QueuedMessage], bool],
    first_body: FirstBody,
) -> QueuedMessage | None:
    if message.callback is None:
        return None
    more = told_of_run(message, first_body(message))
    callback = callback_of(message, response, message.callback, message.callback_headers, more)
    if callback is not None and not fits(callback):
        log.error("callback not published", message_id=message.id, error="no room for it")
        return None
    return callback


def _failure_callback(letter: DeadLetter, first_body: str | None) -> QueuedMessage | None:
    message = letter.message
    more = {**told_of_run(message, first_body), "dlqId": letter.id}
    return callback_of(
        message, letter.response, message.failure_callback, message.failure_callback_headers, more
    )
