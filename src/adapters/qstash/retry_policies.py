"""What becomes of a message that this service, as a whole, fails to handle: its retries, and whom
QStash tells once they are exhausted.

Each policy is a part of the parameters of the SDK's publish.
"""

from dataclasses import dataclass
from typing import Any

_Message = dict[str, Any]

GUARD_RETRIES, GUARD_RETRY_DELAY = 3, "60000 * pow(15, retried)"
"""Deliveries of a guard after the first one, and the pauses before them: a minute, a quarter of an
hour, almost four hours. Each plan of QStash has as many. The failure callback has the same, so a
guard is lost only if no instance works for eight hours."""
ANNOUNCEMENT_CALLBACK_DELAY = "1000 * pow(120, retried)"
"""The pauses before the retries of the failure callback of an announcement, as many as those of a
guard: a second, two minutes, four hours. If all fail, the webhook is lost."""
REDACTED: _Message = {
    "redact": {"body": True},
    "failure_callback_headers": {"Redact-Fields": "body"},
}
"""The failure callback is a message of its own, whose body contains that of the failed one.
Upstash's Workflow SDK redacts it with the same header."""
ANNOUNCEMENT_LABEL, GUARD_LABEL = "longtask-webhook", "longtask-guard"
"""The labels of announcements and guards. By them the queue inside the service tells what works on
no task."""


@dataclass(frozen=True, slots=True)
class RetryPolicies:
    """QStash tells `failure_url`. The messages of tasks are retried `retries` times, after pauses
    by the expression `retry_delay`. With `redacted` QStash shows a hash in place of what they say.
    """

    failure_url: str
    retries: int
    retry_delay: str
    redacted: bool

    def task(self) -> _Message:
        return _Message(
            retries=self.retries,
            retry_delay=self.retry_delay,
            failure_callback=self.failure_url,
            **(REDACTED if self.redacted else {}),
        )

    def guard(self) -> _Message:
        return _Message(
            retries=GUARD_RETRIES,
            retry_delay=GUARD_RETRY_DELAY,
            failure_callback=self.failure_url,
            failure_callback_headers={
                "Retries": str(GUARD_RETRIES),
                "Retry-Delay": GUARD_RETRY_DELAY,
            },
            label=GUARD_LABEL,
        )

    def announcement(self) -> _Message:
        policy = self.task()
        told = policy.get("failure_callback_headers", {}) | {
            "Retries": str(GUARD_RETRIES),
            "Retry-Delay": ANNOUNCEMENT_CALLBACK_DELAY,
        }
        return policy | _Message(label=ANNOUNCEMENT_LABEL, failure_callback_headers=told)
