"""The only place where adapters meet ports.

`Container` is given the settings and the addresses that are known once the sockets are bound.
Handlers get use cases from it, never the container.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from dependency_injector import containers, providers
from litestar.di import NamedDependency
from litestar.params import SkipValidation

from adapters.demo import DemoModel
from adapters.live import Hub
from adapters.memory import MemoryAllowances, MemoryIdempotencyKeys, MemoryTaskLog
from adapters.prometheus import MeasuredModel, MeasuredTaskLog, Metrics
from adapters.qstash import (
    DeliveryReader,
    QStashQueue,
    QueueClock,
    QueueCredentials,
    SigningKeys,
    is_development_key,
)
from adapters.redis import (
    Connection,
    RedisAllowances,
    RedisBroker,
    RedisIdempotencyKeys,
    RedisTaskLog,
    RestConnection,
    connect,
)
from application.admission import Admission
from application.attempt import AttemptBounds
from application.follow_task import FollowTask
from application.manage_task import CancelTask, GetTask
from application.ports import (
    PATIENCE,
    Allowances,
    IdempotencyKeys,
    LanguageModel,
    TaskLog,
    TaskQueue,
)
from application.run_directly import RunDirectly
from application.run_task import RunTask
from application.running_slots import SlotReleasingLog
from application.settle_task import SettleForgotten, SettleUndelivered
from application.start_task import StartTask
from entrypoints import __version__
from entrypoints.http.access import Access
from entrypoints.http.delivery_bodies import DeliveryBodies
from entrypoints.http.origins import Origins
from entrypoints.http.readiness import Readiness
from entrypoints.http.sse.encoder import SseEncoder
from entrypoints.http.start_bodies import StartBodies
from entrypoints.identity import RandomTaskIds, SystemClock
from entrypoints.settings import Settings

if TYPE_CHECKING:
    from adapters.opentelemetry import Tracing

WEBHOOK_PATH = "/api/qstash/webhook"
FAILURE_PATH = "/api/qstash/failure"


def _tracing(settings: Settings) -> "Tracing | None":
    if settings.observability.otlp_endpoint is None:
        return None
    # An extra: without traces the packages need not be there.
    from adapters.opentelemetry import Tracing  # noqa: PLC0415

    return Tracing(settings.observability.otlp_endpoint, __version__)


def _queue(
    settings: Settings,
    credentials: QueueCredentials,
    qstash_url: str,
    base_url: str,
    clock: QueueClock,
    tracing: "Tracing | None",
) -> TaskQueue:
    if tracing is None:
        return _qstash(settings, credentials.token, qstash_url, base_url, clock, dict)
    from adapters.opentelemetry import TracedQueue, forwarded  # noqa: PLC0415

    queue = _qstash(settings, credentials.token, qstash_url, base_url, clock, forwarded)
    return cast(TaskQueue, TracedQueue(queue, tracing.tracer))


def _qstash(
    settings: Settings,
    token: str,
    qstash_url: str,
    base_url: str,
    clock: QueueClock,
    forwarded: Callable[[], dict[str, str]],
) -> QStashQueue:
    return QStashQueue(
        token=token,
        url=qstash_url,
        webhook_url=base_url + WEBHOOK_PATH,
        failure_url=base_url + FAILURE_PATH,
        retries=settings.queue.qstash_retries,
        retry_delay=str(settings.queue.qstash_retry_delay),
        timeout=settings.queue.qstash_timeout,
        delivery_timeout=settings.queue.delivery_timeout,
        forwarded=forwarded,
        clock=clock,
    )


def _signing_keys(
    settings: Settings, credentials: QueueCredentials, queue: TaskQueue
) -> SigningKeys:
    given = (credentials.current_key, credentials.next_key)
    refuses = settings.refuses_development_keys
    return SigningKeys(
        cast(QStashQueue, queue).signing_keys,  # or what traces it
        given if any(given) else None,
        lambda key: refuses and is_development_key(key),
    )


def _deliveries(base_url: str, keys: SigningKeys, clock: QueueClock) -> DeliveryReader:
    return DeliveryReader(
        keys, clock, webhook_url=base_url + WEBHOOK_PATH, failure_url=base_url + FAILURE_PATH
    )


def _watched_model(
    settings: Settings, metrics: Metrics, tracing: "Tracing | None"
) -> LanguageModel:
    measured = MeasuredModel(_model(settings), metrics)
    if tracing is None:
        return measured
    from adapters.opentelemetry import TracedModel  # noqa: PLC0415

    return TracedModel(measured, tracing.tracer)


def _model(settings: Settings) -> LanguageModel:
    if settings.model.demo:
        return DemoModel(settings.model.demo_speed)
    # Half of the time that a start takes is this import; the demo does without.
    from adapters.openai import OpenAIModel  # noqa: PLC0415

    key = settings.model.openai_api_key
    return OpenAIModel(
        # Servers that want no key are still sent one, since the SDK insists.
        api_key=key.get_secret_value() if key else "none",
        base_url=settings.model.openai_base_url,
        read_timeout=settings.model.model_read_timeout,
    )


def _redis(settings: Settings) -> Connection | None:
    connections, timeout = settings.store.redis_connections, settings.store.redis_timeout
    if settings.store.redis_url is not None:
        return connect(
            settings.store.redis_url,
            connections=connections,
            connect_timeout=settings.store.redis_connect_timeout,
            timeout=timeout,
        )
    url, token = settings.store.upstash_redis_rest_url, settings.store.upstash_redis_rest_token
    if url is None or token is None:
        return None
    return RestConnection(url, token.get_secret_value(), connections=connections, timeout=timeout)


def _allowances(redis: Connection | None) -> Allowances:
    return MemoryAllowances() if redis is None else RedisAllowances(redis)


def _keys(redis: Connection | None) -> IdempotencyKeys:
    return MemoryIdempotencyKeys() if redis is None else RedisIdempotencyKeys(redis)


def _access(settings: Settings) -> Access:
    secret = settings.access.stream_secret
    return Access(
        settings.access.api_keys,
        secret.get_secret_value() if secret else "",
        settings.access.stream_link_ttl,
    )


def _origins(settings: Settings) -> Origins:
    hosts = None if settings.access.api_keys else settings.host_names
    return Origins(
        hosts=hosts, base_url=settings.service.base_url, allowed=settings.access.cors_origins
    )


def _feed(redis: Connection | None, metrics: Metrics) -> Hub:
    return Hub() if redis is None else Hub(RedisBroker(redis, metrics))


def _patience(settings: Settings) -> float:
    """Seconds without a sign of life after which no delivery can come any more."""
    if settings.tasks.orphan_timeout is not None:
        return settings.tasks.orphan_timeout
    delay, retries = settings.queue.qstash_retry_delay, settings.queue.qstash_retries
    pauses = sum(delay.seconds(retried) for retried in range(retries))
    return PATIENCE + pauses + (retries + 1) * (settings.queue.delivery_timeout or 0.0)


def _tasks(
    redis: Connection | None,
    feed: Hub,
    settings: Settings,
    patience: float,
    allowances: Allowances,
    metrics: Metrics,
    tracing: "Tracing | None",
) -> TaskLog:
    tasks: TaskLog
    if redis is not None:
        tasks = RedisTaskLog(redis, settings.tasks.task_ttl, patience)
    else:
        tasks = MemoryTaskLog(feed, settings.tasks.task_ttl, patience)
    limits = settings.access.limits, settings.access.address_limits
    if any(each.running is not None for each in limits):
        tasks = cast(TaskLog, SlotReleasingLog(tasks, allowances, *limits))
    measured = cast(TaskLog, MeasuredTaskLog(tasks, metrics))
    if tracing is None:
        return measured
    from adapters.opentelemetry import TracedTaskLog  # noqa: PLC0415

    return cast(TaskLog, TracedTaskLog(measured, tracing.tracer))


class Container(containers.DeclarativeContainer):
    settings = providers.Dependency(instance_of=Settings)
    base_url = providers.Dependency(instance_of=str)
    qstash_url = providers.Dependency(instance_of=str)
    queue_credentials = providers.Dependency(instance_of=QueueCredentials)

    metrics = providers.Singleton(Metrics)
    tracing = providers.Singleton(_tracing, settings)
    clock = providers.Singleton(SystemClock)
    ids = providers.Singleton(RandomTaskIds)
    redis = providers.Singleton(_redis, settings)
    feed = providers.Singleton(_feed, redis, metrics)
    patience = providers.Callable(_patience, settings)
    allowances = providers.Singleton(_allowances, redis)
    tasks = providers.Singleton(
        _tasks, redis, feed, settings, patience, allowances, metrics, tracing
    )
    queue_clock = providers.Singleton(QueueClock)
    queue = providers.Singleton(
        _queue, settings, queue_credentials, qstash_url, base_url, queue_clock, tracing
    )
    signing_keys = providers.Singleton(_signing_keys, settings, queue_credentials, queue)
    deliveries = providers.Singleton(_deliveries, base_url, signing_keys, queue_clock)
    delivery_bodies = providers.Singleton(DeliveryBodies)
    start_bodies = providers.Singleton(StartBodies)
    model = providers.Singleton(_watched_model, settings, metrics, tracing)

    access = providers.Singleton(_access, settings)
    origins = providers.Singleton(_origins, settings)
    sse_encoder = providers.Singleton(SseEncoder)
    readiness = providers.Singleton(Readiness, tasks, queue, signing_keys, queue_clock)
    settle_forgotten = providers.Singleton(SettleForgotten, tasks, clock, patience)
    admission = providers.Singleton(
        Admission,
        allowances,
        tasks,
        settle_forgotten,
        settings.provided.access.limits,
        settings.provided.access.address_limits,
    )
    keys = providers.Singleton(_keys, redis)
    start_task = providers.Singleton(StartTask, tasks, keys, queue, clock, ids, admission)
    run_task = providers.Singleton(
        RunTask,
        tasks,
        feed,
        model,
        clock,
        admission,
        bounds=providers.Factory(
            AttemptBounds,
            lease=settings.provided.tasks.lease,
            read_timeout=settings.provided.model.model_read_timeout,
            attempt_timeout=settings.provided.tasks.attempt_timeout,
            max_text=settings.provided.tasks.max_output_chars,
            grace=settings.provided.service.grace,
        ),
        max_running=settings.provided.service.max_concurrent_deliveries,
    )
    run_directly = providers.Singleton(RunDirectly, tasks, clock, ids, admission, run_task)
    settle_undelivered = providers.Singleton(SettleUndelivered, tasks, feed, queue, clock)
    follow_task = providers.Singleton(
        FollowTask,
        tasks,
        feed,
        clock,
        settle_forgotten,
        metrics,
        ping_interval=settings.provided.http.sse_ping_interval,
        max_streams=settings.provided.http.max_streams,
    )
    get_task = providers.Singleton(GetTask, tasks, settle_forgotten)
    cancel_task = providers.Singleton(CancelTask, tasks, queue, clock)


Parts = NamedDependency[SkipValidation[Container]]
"""How a handler asks for them: as one dependency, since Litestar resolves several in a task each,
and keeps those tasks in memory for as long as a stream lasts."""


def stop_work(container: Container) -> None:
    """End what would keep connections open: streams, whose clients go on elsewhere, and attempts,
    which are given back after their grace. To be called when the order to stop arrives, not after
    the server has waited for its connections."""
    container.run_task().stop()
    container.feed().close()


async def close_connections(container: Container) -> None:
    """Those of parts that hold any, the store last: the others may still write to it."""
    parts = (
        container.queue(),
        container.model(),
        container.feed(),
        container.redis(),
        container.tracing(),
    )
    for part in parts:
        close = getattr(part, "aclose", None)
        if close is not None:
            await close()
