"""How long a task is kept, how long an attempt may take, and when a task is given up."""

from typing import ClassVar, Literal

from domain.request import REQUEST_LIMIT
from domain.request_times import DELAY_LIMIT
from entrypoints.settings.group import Group, setting


class TaskSettings(Group):
    title: ClassVar[str] = "Tasks"

    task_ttl: float = setting(
        "TASK_TTL",
        86_400.0,
        "How long a task is kept after its last event. A start may ask for less (`ttl`).",
        unit="seconds",
        gt=0,
    )
    chat_while_running: Literal["cancel", "reject"] = setting(
        "LONGTASK_CHAT_WHILE_RUNNING",
        "cancel",
        "What becomes of a new message in a chat (`/api/chat`) whose task still runs: `cancel` "
        "cancels that task, `reject` refuses the message with 409.",
    )
    lease: float = setting(
        "LONGTASK_LEASE",
        30.0,
        "How long an attempt holds its task without renewing its lease. After that another worker "
        "may claim the task.",
        unit="seconds",
        gt=0,
    )
    attempt_timeout: float = setting(
        "LONGTASK_ATTEMPT_TIMEOUT",
        86_400.0,
        "How long one attempt may take. After that the task fails.",
        unit="seconds",
        gt=0,
    )
    orphan_timeout: float | None = setting(
        "LONGTASK_ORPHAN_TIMEOUT",
        None,
        "How long an unfinished task may go without a heartbeat or a delivery before it counts as "
        "orphaned (the queue lost it) and fails.",
        unit="seconds",
        otherwise="the timeouts of all deliveries and the pauses between them, plus one hour, "
        "plus a day where the local queue lives as long as the tasks",
        gt=0,
    )
    max_delay: int = setting(
        "LONGTASK_MAX_DELAY",
        DELAY_LIMIT,
        "How long a start may put its task off (`delay`, `notBefore`). QStash's free plan delays a "
        "message for 7 days at most.",
        unit="seconds",
        ge=0,
        le=DELAY_LIMIT,
    )
    max_request_bytes: int = setting(
        "LONGTASK_MAX_REQUEST_BYTES",
        REQUEST_LIMIT,
        "How large a request may be, its messages, images and files included, and the conversation "
        "of the task that it continues. A larger one is refused with 413.",
        unit="bytes",
        ge=1_024,
        le=256 * 1024 * 1024,
    )
    max_output_chars: int = setting(
        "LONGTASK_MAX_OUTPUT_CHARS",
        2_000_000,
        "How long an answer may be: text, reasoning, calls of tools and what hosted tools "
        "did (pictures as base64) together. A task whose "
        "answer is longer fails.",
        unit="characters",
        ge=1,
    )

    @property
    def max_ttl(self) -> int:
        """Seconds for which a start may ask that its task is kept."""
        return max(1, int(self.task_ttl))

    @property
    def rejects_in_running_chats(self) -> bool:
        """Whether a new message is refused in a chat whose task still runs."""
        return self.chat_while_running == "reject"
