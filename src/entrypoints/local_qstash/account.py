"""An account of the local QStash: its token and keys, and all that it holds."""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from adapters.database import Database
from entrypoints.local_qstash.at_start import KEYS, Left
from entrypoints.local_qstash.bounds import MESSAGE_LIMIT
from entrypoints.local_qstash.delivery import Deliveries
from entrypoints.local_qstash.flows import Flows
from entrypoints.local_qstash.journal import LogLimits
from entrypoints.local_qstash.queues import Queues
from entrypoints.local_qstash.records import Records
from entrypoints.local_qstash.schedules import Schedules
from entrypoints.local_qstash.url_groups import UrlGroups
from entrypoints.local_qstash.workflow_events import WorkflowEvents
from entrypoints.local_qstash.workflow_records import RunRecords
from entrypoints.local_qstash.workflow_runs import WorkflowRuns


@dataclass(frozen=True, kw_only=True)
class AccountSettings:
    token: str
    current_key: str
    """The signing keys."""
    next_key: str
    message_limit: int = MESSAGE_LIMIT
    """Bytes of a message's body."""
    database: Database | None = None
    """Has the schema QUEUE, and is closed by the caller afterwards. With it everything is kept
    there, else in memory."""
    left: Left = field(default_factory=Left)
    """What is in the database."""
    stopping: Callable[[], bool] = lambda: False
    """Once it returns True, no delivery begins, and one that fails costs no retry: its message
    waits for the next start."""
    address_of: Callable[[str], str] = str
    """Returns where a message for a URL is delivered."""
    at_once: int | None = None
    """As `Deliveries` says."""
    log_limits: LogLimits = field(default_factory=LogLimits)

    @property
    def keys(self) -> dict[str, str]:
        """The signing keys as `GET /v2/keys` shows them: in the database are others once they have
        been rotated."""
        return dict(self.left.keys or {"current": self.current_key, "next": self.next_key})


class Account:
    def __init__(self, settings: AccountSettings) -> None:
        """Must be called while an event loop runs."""
        self._left = settings.left
        self.token = settings.token
        self.records = Records(settings.database, settings.left.records)
        self.url_groups = UrlGroups(self.records)
        self.keys = settings.keys
        self._rotating = asyncio.Lock()
        runs = RunRecords(self.records)
        self.deliveries = Deliveries(
            self.keys["current"],
            settings.message_limit,
            settings.database,
            settings.stopping,
            settings.address_of,
            settings.at_once,
            settings.log_limits,
            runs.first_body,
        )
        self.queues = Queues(self.records, self.deliveries.turns)
        self.deliveries.intake.create_queue = self.queues.create
        self.flows = Flows(self.records, self.deliveries.turns.slots)
        self.workflow_runs = WorkflowRuns(runs, self.deliveries, settings.message_limit)
        self.workflow_events = WorkflowEvents(runs, self.deliveries, self.workflow_runs)
        self.journal = self.deliveries.journal
        self.schedules = Schedules(
            self.records,
            self.url_groups,
            self.workflow_runs.publish_all,
            settings.message_limit,
            settings.stopping,
        )
        self.journal.observer = self.schedules.runs.note

    def resume(self) -> None:
        """Go on with what an earlier process has left."""
        self.deliveries.resume(self._left.messages, self._left.periods)
        self.schedules.resume({each.id for each in self._left.messages})
        self._left = Left()

    async def rotate_keys(self) -> dict[str, str]:
        """Sign with the next key from now on, and make another next one. Returns the keys, as
        `GET /v2/keys` shows them. Raises Unavailable."""
        async with self._rotating:
            keys = {"current": self.keys["next"], "next": f"sig_{secrets.token_urlsafe(32)}"}
            await self.records.put(*KEYS, keys)
            self.keys = keys
            self.deliveries.sign_with(keys["current"])
            return keys

    async def aclose(self) -> None:
        await self.schedules.stop()
        await self.deliveries.aclose()
        await self.schedules.aclose()
