"""Webhooks on the memory store, with a receiver and a clock that the test drives."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from adapters.live import Hub
from adapters.memory import MemoryTaskLog
from application.ports import WebhookMessage, WebhookSecret
from application.send_webhook import SendWebhook
from application.webhooks import WebhookRules
from domain.task import Task
from domain.webhook import Webhook
from tests.builders import NOW, REQUEST
from tests.doubles.queue import RecordingQueue

TASK_ID = "task_1_a"
URL = "https://example.com/hooks"
WEBHOOKS = (Webhook(URL), Webhook("https://example.com/all", service=True))
ALICES, SERVICES = WebhookSecret(b"alice"), WebhookSecret(b"service")
RULES = WebhookRules({"alice": [ALICES], None: [SERVICES]}, WEBHOOKS[1].url)
ORPHAN_TIMEOUT = 100.0
TASK_TTL = 1e6


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> int:
        return NOW + round(self.seconds * 1000)


class Receiver:
    """Answers as it is told, and remembers what it was sent."""

    def __init__(self) -> None:
        self.answer: int | Exception = 204
        self.messages: list[WebhookMessage] = []
        self.secrets: list[Sequence[WebhookSecret]] = []
        self.owners: list[str | None] = []

    async def send(
        self,
        url: str,
        message: WebhookMessage,
        secrets: Sequence[WebhookSecret],
        owner: str | None = None,
    ) -> int:
        self.messages.append(message)
        self.owners.append(owner)
        self.secrets.append(secrets)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Bench:
    def __init__(self, task_ttl: float = TASK_TTL) -> None:
        self.clock = Clock()
        self.queue = RecordingQueue()
        self.receiver = Receiver()
        self.feed = Hub()
        self.tasks = MemoryTaskLog(
            self.feed, task_ttl, ORPHAN_TIMEOUT, elapsed=lambda: self.clock.seconds
        )
        self.send = SendWebhook(self.tasks, self.queue, self.receiver, self.clock, RULES)

    async def submit(self, webhooks: tuple[Webhook, ...] = WEBHOOKS[:1], **asked: Any) -> Task:
        request = replace(REQUEST, **asked)
        return await self.tasks.create(
            Task.submit(TASK_ID, request, NOW, "alice", webhooks=webhooks)
        )

    async def ended(self, webhooks: tuple[Webhook, ...] = WEBHOOKS[:1], **asked: Any) -> Task:
        await self.submit(webhooks, **asked)
        return await self.tasks.cancel(TASK_ID, self.clock.now())

    async def webhook(self, number: int = 0) -> Webhook:
        return (await self.tasks.get(TASK_ID)).webhooks[number]


class Died(BaseException):
    """The process was ended."""


class Mortal:
    """A port whose process dies at one of its calls, before or after it is carried out."""

    def __init__(self, inner: object, steps: list[str], dies_at: int) -> None:
        self._inner = inner
        self._steps = steps
        self._dies_at = dies_at

    def __getattr__(self, name: str) -> Any:
        async def call(*args: Any, **named: Any) -> Any:
            self._step(f"before {name}")
            result = await getattr(self._inner, name)(*args, **named)
            self._step(f"after {name}")
            return result

        return call

    def _step(self, step: str) -> None:
        if len(self._steps) == self._dies_at:
            raise Died(step)
        self._steps.append(step)
