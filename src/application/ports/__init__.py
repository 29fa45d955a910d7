"""The ports: what the use cases need from the outside world.

Each method documents its contract, and one suite per port (tests/contract) tests every adapter
against it. No type of a framework, a driver or a wire format crosses a port. The exceptions of the
ports are in `application.errors`.

Times are integer milliseconds since the Unix epoch unless a name says otherwise; durations are
seconds.
"""

from application.ports.answer_checker import AnswerChecker
from application.ports.attempts_observer import AttemptsObserver
from application.ports.clock import Clock, TaskIds
from application.ports.event_feed import EventFeed, FeedObserver, Subscriber
from application.ports.forwarding import EndObservingTaskLog, ForwardingTaskLog
from application.ports.idempotency_keys import (
    ABANDONED_AFTER,
    IDEMPOTENCY_TTL,
    Binding,
    IdempotencyKeys,
)
from application.ports.language_model import (
    Finished,
    Item,
    Kept,
    LanguageModel,
    Numbered,
    OfferedModel,
    Resumption,
)
from application.ports.limits import HeldSlot, Limiter, WindowUsage
from application.ports.log_pages import Batch, Page, page_of
from application.ports.task_index import (
    EXAMINED,
    ChangeFeed,
    EndedEntry,
    Entry,
    TaskIndex,
    TaskPage,
    Watcher,
)
from application.ports.task_log import (
    ORPHAN_TIMEOUT,
    PAGE_SIZE,
    TOMBSTONE_TTL,
    Busy,
    Ended,
    NotOrphaned,
    Openings,
    Orphaned,
    TaskLog,
    anew,
)
from application.ports.task_queue import Announcement, Delivery, Guard, TaskQueue
from application.ports.usage import Addition, Row, Tokens, UsageLedger
from application.ports.webhook_sender import WebhookMessage, WebhookSecret, WebhookSender

__all__ = [
    "ABANDONED_AFTER",
    "EXAMINED",
    "IDEMPOTENCY_TTL",
    "ORPHAN_TIMEOUT",
    "PAGE_SIZE",
    "TOMBSTONE_TTL",
    "Addition",
    "Announcement",
    "AnswerChecker",
    "AttemptsObserver",
    "Batch",
    "Binding",
    "Busy",
    "ChangeFeed",
    "Clock",
    "Delivery",
    "EndObservingTaskLog",
    "Ended",
    "EndedEntry",
    "Entry",
    "EventFeed",
    "FeedObserver",
    "Finished",
    "ForwardingTaskLog",
    "Guard",
    "HeldSlot",
    "IdempotencyKeys",
    "Item",
    "Kept",
    "LanguageModel",
    "Limiter",
    "NotOrphaned",
    "Numbered",
    "OfferedModel",
    "Openings",
    "Orphaned",
    "Page",
    "Resumption",
    "Row",
    "Subscriber",
    "TaskIds",
    "TaskIndex",
    "TaskLog",
    "TaskPage",
    "TaskQueue",
    "Tokens",
    "UsageLedger",
    "Watcher",
    "WebhookMessage",
    "WebhookSecret",
    "WebhookSender",
    "WindowUsage",
    "anew",
    "page_of",
]
