"""The composition root: the only place where adapters meet ports.

Read it as a table. Each Selector is a choice that the settings make; the use cases, and what HTTP
needs beside them, are built from what is chosen. `server` is the only module that imports this one:
it gives the settings and the addresses that are known once the sockets are bound, and takes `http`
and `lifecycle`.
"""

from collections.abc import Callable
from pkgutil import resolve_name
from typing import Any

from dependency_injector import containers, providers

from adapters.demo import DemoModel
from adapters.live import Hub
from adapters.memory import MemoryAllowances, MemoryIdempotencyKeys, MemoryTaskLog
from adapters.prometheus import MeasuredModel, MeasuredTaskLog, Metrics
from adapters.qstash import QueueClock, QueueCredentials
from adapters.redis import RedisAllowances, RedisBroker, RedisIdempotencyKeys, RedisTaskLog
from application.admission import Admission
from application.attempt import AttemptBounds
from application.follow_task import FollowTask
from application.manage_task import CancelTask, GetTask
from application.ports import PATIENCE
from application.run_directly import RunDirectly
from application.run_task import RunTask
from application.running_slots import SlotReleasingLog
from application.settle_task import SettleForgotten, SettleUndelivered
from application.start_task import StartTask
from application.use_cases import UseCases
from entrypoints import __version__
from entrypoints.choices import model_of, queue_of, slots_of, store_of, traces_of
from entrypoints.connections import (
    delivery_reader,
    make_signing_keys,
    qstash_queue,
    redis_connection,
    rest_connection,
)
from entrypoints.http.access import Access
from entrypoints.http.delivery_bodies import DeliveryBodies
from entrypoints.http.origins import Origins
from entrypoints.http.outcomes import Outcomes
from entrypoints.http.parts import HttpParts
from entrypoints.http.readiness import Readiness
from entrypoints.http.sse.encoder import SseEncoder
from entrypoints.http.start_bodies import StartBodies
from entrypoints.identity import RandomTaskIds, SystemClock
from entrypoints.lifecycle import Lifecycle
from entrypoints.settings import Settings

_Provider = providers.Provider[Any]


def _on_demand(name: str) -> Callable[..., Any]:
    """A class (`module:name`) whose module is imported when the first instance is made: the
    packages of an extra need not be installed, and importing openai takes half a start."""

    def make(*args: Any, **options: Any) -> Any:
        return resolve_name(name)(*args, **options)

    return make


def _kept(choice: _Provider, *, memory: _Provider, redis: _Provider) -> _Provider:
    """Redis is the same store over its own protocol and over REST."""
    return providers.Selector(choice, memory=memory, redis=redis, rest=redis)


def _traced(choice: _Provider, tracing: _Provider, name: str, inner: _Provider) -> _Provider:
    traced = _on_demand(f"adapters.opentelemetry:{name}")
    return providers.Selector(
        choice, off=inner, otlp=providers.Singleton(traced, inner, tracing.provided.tracer)
    )


def _patience(settings: Settings) -> float:
    """Seconds without a heartbeat after which no delivery can come any more."""
    if settings.tasks.orphan_timeout is not None:
        return settings.tasks.orphan_timeout
    delay, retries = settings.queue.qstash_retry_delay, settings.queue.qstash_retries
    pauses = sum(delay.seconds(retried) for retried in range(retries))
    return PATIENCE + pauses + (retries + 1) * (settings.queue.delivery_timeout or 0.0)


def _openai_key(settings: Settings) -> str:
    """The SDK insists on a key. Servers that need none are sent this one."""
    key = settings.model.openai_api_key
    return key.get_secret_value() if key else "none"


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


class Container(containers.DeclarativeContainer):
    # Given by the server
    settings = providers.Dependency(instance_of=Settings)
    base_url = providers.Dependency(instance_of=str)
    local_qstash_url = providers.Dependency(instance_of=str, default="")
    queue_credentials = providers.Dependency(instance_of=QueueCredentials)

    # What the settings choose
    store = providers.Callable(store_of, settings)  # memory | redis | rest
    publisher = providers.Callable(queue_of, settings)  # local | qstash
    answers = providers.Callable(model_of, settings)  # demo | openai
    traces = providers.Callable(traces_of, settings)  # off | otlp
    slots = providers.Callable(slots_of, settings)  # unlimited | limited

    # Observation, time, ids
    metrics = providers.Singleton(Metrics)
    tracing = providers.Selector(
        traces,
        off=providers.Object(None),
        otlp=providers.Singleton(
            _on_demand("adapters.opentelemetry:Tracing"),
            settings.provided.observability.otlp_endpoint,
            __version__,
        ),
    )
    clock = providers.Singleton(SystemClock)
    ids = providers.Singleton(RandomTaskIds)

    # The store
    connection = providers.Selector(
        store,
        memory=providers.Object(None),
        redis=providers.Singleton(redis_connection, settings),
        rest=providers.Singleton(rest_connection, settings),
    )
    patience = providers.Callable(_patience, settings)
    feed = _kept(
        store,
        memory=providers.Singleton(Hub),
        redis=providers.Singleton(Hub, providers.Singleton(RedisBroker, connection, metrics)),
    )
    allowances = _kept(
        store,
        memory=providers.Singleton(MemoryAllowances),
        redis=providers.Singleton(RedisAllowances, connection),
    )
    keys = _kept(
        store,
        memory=providers.Singleton(MemoryIdempotencyKeys),
        redis=providers.Singleton(RedisIdempotencyKeys, connection),
    )
    kept_tasks = _kept(
        store,
        memory=providers.Singleton(MemoryTaskLog, feed, settings.provided.tasks.task_ttl, patience),
        redis=providers.Singleton(
            RedisTaskLog, connection, settings.provided.tasks.task_ttl, patience
        ),
    )
    limits = settings.provided.access.limits, settings.provided.access.address_limits
    releasing_tasks = providers.Selector(
        slots,
        unlimited=kept_tasks,
        limited=providers.Singleton(SlotReleasingLog, kept_tasks, allowances, *limits),
    )
    measured_tasks = providers.Singleton(MeasuredTaskLog, releasing_tasks, metrics)
    tasks = _traced(traces, tracing, "TracedTaskLog", measured_tasks)

    # The queue
    qstash_url = providers.Selector(
        publisher, local=local_qstash_url, qstash=settings.provided.queue.qstash_url
    )
    queue_clock = providers.Singleton(QueueClock)
    qstash = providers.Singleton(
        qstash_queue,
        settings,
        queue_credentials,
        qstash_url,
        base_url,
        queue_clock,
        providers.Selector(traces, off=providers.Object(dict), otlp=tracing.provided.forwarded),
    )
    queue = _traced(traces, tracing, "TracedQueue", qstash)
    signing_keys = providers.Singleton(make_signing_keys, settings, queue_credentials, qstash)
    deliveries = providers.Singleton(delivery_reader, base_url, signing_keys, queue_clock)

    # The model
    model_client = providers.Selector(
        answers,
        demo=providers.Singleton(DemoModel, settings.provided.model.demo_speed),
        openai=providers.Singleton(
            _on_demand("adapters.openai:OpenAIModel"),
            api_key=providers.Callable(_openai_key, settings),
            base_url=settings.provided.model.openai_base_url,
            read_timeout=settings.provided.model.model_read_timeout,
        ),
    )
    measured_model = providers.Singleton(MeasuredModel, model_client, metrics)
    model = _traced(traces, tracing, "TracedModel", measured_model)

    # The use cases
    settle_forgotten = providers.Singleton(SettleForgotten, tasks, clock, patience)
    admission = providers.Singleton(Admission, allowances, tasks, settle_forgotten, *limits)
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
    use_cases = providers.Singleton(
        UseCases,
        start_task=providers.Singleton(StartTask, tasks, keys, queue, clock, ids, admission),
        get_task=providers.Singleton(GetTask, tasks, settle_forgotten),
        cancel_task=providers.Singleton(CancelTask, tasks, queue, clock),
        follow_task=providers.Singleton(
            FollowTask,
            tasks,
            feed,
            clock,
            settle_forgotten,
            metrics,
            ping_interval=settings.provided.http.sse_ping_interval,
            max_streams=settings.provided.http.max_streams,
        ),
        run_task=run_task,
        run_directly=providers.Singleton(RunDirectly, tasks, clock, ids, admission, run_task),
        settle_undelivered=providers.Singleton(SettleUndelivered, tasks, feed, queue, clock),
        admission=admission,
    )

    # What the server takes
    access = providers.Singleton(_access, settings)
    origins = providers.Singleton(_origins, settings)
    start_bodies = providers.Singleton(StartBodies)
    delivery_bodies = providers.Singleton(DeliveryBodies)
    readiness = providers.Singleton(Readiness, tasks, queue, signing_keys, queue_clock)
    http = providers.Singleton(
        HttpParts,
        use_cases=use_cases,
        access=access,
        origins=origins,
        readiness=readiness,
        deliveries=deliveries,
        delivery_bodies=delivery_bodies,
        start_bodies=start_bodies,
        sse_encoder=providers.Singleton(SseEncoder),
        clock=clock,
        metrics=metrics,
        outcomes=providers.Singleton(Outcomes, metrics),
        tracing=tracing,
        default_model=settings.provided.model.default_model,
        cors_origins=settings.provided.access.cors_origins,
        development=settings.provided.development,
    )
    lifecycle = providers.Singleton(
        Lifecycle,
        run_task=run_task,
        feed=feed,
        admission=admission,
        signing_keys=signing_keys,
        metrics=metrics,
        connections=providers.List(qstash, model_client, feed, connection, tracing),
    )
