"""Tasks, attempts and use cases as tests need them, with what a test does not care about filled
in."""

import secrets

from adapters.memory import MemoryLimiter, MemoryUsageLedger
from adapters.redis import Connection, connect
from adapters.redis_address import parse_address
from application.accounts import Accounts, Limits
from application.after_end import AfterEnd
from application.attempt import AttemptBounds
from application.backlog import WAITING_BATCHES
from application.follow_task import PAGE, FollowTask
from application.make_attempt import MakeAttempt
from application.meter import Meter
from application.owner_shares import OwnerShares
from application.ports import (
    ORPHAN_TIMEOUT,
    AttemptsObserver,
    Clock,
    Delivery,
    EventFeed,
    FeedObserver,
    LanguageModel,
    Limiter,
    TaskLog,
    TaskQueue,
    UsageLedger,
)
from application.quotas import Quotas
from application.reap import FailOrphanedTasks
from application.run_task import REQUESTS_ROOM, RunTask
from domain.attempt import Attempt
from domain.request import TaskRequest
from domain.task import Task
from entrypoints.identity import SystemClock
from tests.doubles.attempts import CountingAttempts
from tests.doubles.model import DrivenModel
from tests.doubles.readers import CountingObserver

NOW = 1_700_000_000_000
LEASE = 30.0
REQUEST = TaskRequest(model="m", max_tokens=10, temperature=0.5, prompt="Hi.")
OTHER_REQUEST = TaskRequest(model="m", max_tokens=11, temperature=0.5, prompt="Hi.")


async def submit(tasks: TaskLog, request: TaskRequest = REQUEST, task_id: str = "") -> str:
    """The id of a new task that waits."""
    task_id = task_id or f"task_1_{secrets.token_hex(6)}"
    await tasks.create(Task.submit(task_id, request, NOW))
    return task_id


async def claim(tasks: TaskLog, task_id: str, lease: float = LEASE) -> Attempt:
    attempt = await tasks.claim(task_id, lease, NOW)
    assert isinstance(attempt, Attempt)
    return attempt


async def begun(tasks: TaskLog) -> Attempt:
    """A new task with a live attempt."""
    return await claim(tasks, await submit(tasks))


def delivery_of(
    task_id: str,
    request: TaskRequest = REQUEST,
    *,
    created_at: int = 1,
    max_attempts: int = 4,
    owner: str | None = None,
    own_flow: bool = False,
) -> Delivery:
    size = request.size()
    return Delivery(
        task_id,
        request,
        created_at,
        max_attempts,
        request.model,
        size,
        owner=owner,
        own_flow=own_flow,
    )


def naming_delivery_of(
    task_id: str, request: TaskRequest, *, created_at: int = 1, max_attempts: int = 4
) -> Delivery:
    """A delivery whose request is in the store only."""
    return Delivery(
        task_id,
        None,
        created_at,
        max_attempts,
        request.model,
        request.size(),
        request_digest=request.digest(),
    )


def follow_task(
    tasks: TaskLog,
    feed: EventFeed,
    *,
    observer: FeedObserver | None = None,
    ping_interval: float = 5.0,
    max_streams: int = 100_000,
    page: int = PAGE,
    waiting_batches: int = WAITING_BATCHES,
    orphan_timeout: float = ORPHAN_TIMEOUT,
) -> FollowTask:
    clock = SystemClock()
    return FollowTask(
        tasks,
        feed,
        clock,
        FailOrphanedTasks(tasks, clock, orphan_timeout),
        observer or CountingObserver(),
        ping_interval=ping_interval,
        max_streams=max_streams,
        page=page,
        waiting_batches=waiting_batches,
    )


def after_end(
    tasks: TaskLog,
    queue: TaskQueue,
    clock: Clock | None = None,
    model: LanguageModel | None = None,
) -> AfterEnd:
    return AfterEnd(tasks, queue, model or DrivenModel(), clock or SystemClock())


def run_task(
    tasks: TaskLog,
    feed: EventFeed,
    model: LanguageModel,
    clock: Clock,
    meter: Meter,
    end: AfterEnd,
    bounds: AttemptBounds,
    *,
    observer: AttemptsObserver | None = None,
    max_concurrent_deliveries: int = 1,
    requests_room: int = REQUESTS_ROOM,
    shares: OwnerShares | None = None,
) -> RunTask:
    return RunTask(
        tasks,
        feed,
        model,
        clock,
        MakeAttempt(tasks, model, clock, meter, end, observer or CountingAttempts(), bounds=bounds),
        end,
        shares=shares,
        lease=bounds.lease,
        max_concurrent_deliveries=max_concurrent_deliveries,
        requests_room=requests_room,
    )


def meter_of(accounts: Accounts | None = None, ledger: UsageLedger | None = None) -> Meter:
    """A meter that nothing runs."""
    return Meter(
        ledger or MemoryUsageLedger(), accounts or Accounts(Limits(), Limits()), SystemClock()
    )


def quotas_of(limiter: Limiter, tasks: TaskLog, accounts: Accounts) -> Quotas:
    orphans = FailOrphanedTasks(tasks, SystemClock(), ORPHAN_TIMEOUT)
    return Quotas(limiter, tasks, orphans, accounts, meter_of(accounts))


def unlimited(tasks: TaskLog) -> Quotas:
    """Quotas that refuse nothing."""
    return quotas_of(MemoryLimiter(), tasks, Accounts(Limits(), Limits()))


def to_redis(url: str) -> Connection:
    return connect(parse_address(url), connections=10, connect_timeout=5.0, timeout=5.0)


def schema_format(schema: object) -> dict[str, object]:
    """The `response_format` of a request that gives a schema."""
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
