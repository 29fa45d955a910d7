"""All settings, by groups, and what follows from several groups together."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import quote, urlsplit

from entrypoints.host_names import is_loopback
from entrypoints.outside_text import without_password
from entrypoints.settings.access import AccessSettings
from entrypoints.settings.http import HttpSettings
from entrypoints.settings.model import ModelSettings
from entrypoints.settings.observability import ObservabilitySettings
from entrypoints.settings.queue import QueueSettings
from entrypoints.settings.service import ServiceSettings
from entrypoints.settings.store import StoreSettings
from entrypoints.settings.tasks import TaskSettings
from entrypoints.settings.usage import UsageSettings
from entrypoints.settings.webhooks import WebhookSettings

_PATH = "/%-._~!$&()*+,;=:@"
"""What stands in a path as it is."""


@dataclass(frozen=True, slots=True)
class Settings:
    service: ServiceSettings
    access: AccessSettings
    usage: UsageSettings
    http: HttpSettings
    tasks: TaskSettings
    webhooks: WebhookSettings
    store: StoreSettings
    queue: QueueSettings
    model: ModelSettings
    observability: ObservabilitySettings

    @property
    def environment(self) -> Literal["development", "production"]:
        return self.service.env or ("development" if self.queue.embedded else "production")

    @property
    def development(self) -> bool:
        return self.environment == "development"

    @property
    def console_logs(self) -> bool:
        chosen = self.observability.log_format
        return chosen == "console" or (chosen == "auto" and self.development)

    @property
    def prefix(self) -> str:
        """The path of `BASE_URL`, without a slash at its end. A proxy strips it from requests."""
        path = urlsplit(self.service.base_url or "").path.strip("/")
        return f"/{quote(path, safe=_PATH)}" if path else ""

    @property
    def host_names(self) -> frozenset[str]:
        """The names at which a service without API keys accepts requests, in lower case."""
        own = (self.service.host, urlsplit(self.service.base_url or "").hostname)
        return frozenset(name.lower() for name in (*self.access.allowed_hosts, *own) if name)

    @property
    def refuses_development_keys(self) -> bool:
        """Whether deliveries signed with a public key must be rejected: others can reach the
        service, directly or through a proxy or a tunnel, or it has several owners."""
        others = self.access.requires_keys or not self._on_loopback
        return others and not self.queue.allow_development_keys

    @property
    def trusts_callers(self) -> bool:
        """Whether callers may use what no unguessable id protects (chats, whose ids pages choose,
        the list of tasks, and the stream of their changes): they are known by their keys, are on
        this machine, or are trusted because a setting says so."""
        return self.access.requires_keys or self._on_loopback or self.access.trust_all_callers

    @property
    def _on_loopback(self) -> bool:
        """Whether only this machine can reach the service."""
        base_host = urlsplit(self.service.base_url or "").hostname
        return (
            is_loopback(self.service.host)
            and (base_host is None or is_loopback(base_host))
            and all(map(is_loopback, self.access.allowed_hosts))
            and not self.access.trusted_proxies
        )

    @property
    def data_file(self) -> Path | None:
        """The file that keeps tasks, the messages of the local queue, or both. None if neither is
        kept in a file."""
        used = self.store.kind == "file" or self.queue.embedded
        return self.store.file if used else None

    def chosen_parts(self) -> dict[str, str]:
        """Which store, queue and model these settings select."""
        kept = "memory" if self.data_file is None else f"file {self.data_file.absolute()}"
        stores = {"redis": "Redis", "rest": "Redis over REST"}
        return {
            "store": stores.get(self.store.kind, kept),
            "queue": f"local QStash, {kept}"
            if self.queue.embedded
            else without_password(self.queue.qstash_url),
            "model": without_password(self.model.name),
        }
