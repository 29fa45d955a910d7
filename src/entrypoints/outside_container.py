"""The part of the composition root that reaches the world outside: the queue, the model, the
receivers of webhooks; and the store as its observers decorate it.

`container` goes on from it.
"""

from dependency_injector import providers
from dependency_injector.providers import Dependency, Factory, Object, Selector, Singleton

from adapters.memory import MemoryHousekeeping
from adapters.prometheus import MeasuredModel, MeasuredSender, MeasuredTaskLog
from adapters.qstash import QueueClock, QueueCredentials
from adapters.sqlite import Housekeeping
from adapters.webhooks import HttpWebhookSender
from application.accounts import Accounts
from application.meter import Meter, MeteredTaskLog
from application.reap import RequeueInterrupted
from application.running_slots import SlotReleasingLog
from entrypoints import __version__, choices, connections, models
from entrypoints.identity import RandomTaskIds, SystemClock
from entrypoints.providers import kept, on_demand, traced
from entrypoints.store_container import StoreContainer as Store


class OutsideContainer(Store):
    # Given by the server
    base_url = Dependency(instance_of=str)
    local_qstash_url = Dependency(instance_of=str, default="")
    queue_credentials = Dependency(instance_of=QueueCredentials)
    settings, given = Store.settings, Store.given

    # What the settings choose
    queue_choice = providers.Callable(choices.queue_of, settings)  # local | qstash
    traces_choice = providers.Callable(choices.traces_of, settings)  # off | otlp
    slots_choice = providers.Callable(choices.slots_of, settings)  # unlimited | limited

    # Observation, time, ids
    metrics = Store.metrics
    tracing = Selector(
        traces_choice,
        off=Object(None),
        otlp=Singleton(
            on_demand("adapters.opentelemetry:Tracing"),
            given.observability.otlp_endpoint,
            __version__,
        ),
    )
    clock = Singleton(SystemClock)
    ids = Singleton(RandomTaskIds)

    # The store, as observers decorate it
    accounts = Factory(
        Accounts,
        given.access.limits,
        given.access.address_limits,
        given.access.limits_of_owners,
    )
    meter = Singleton(Meter, Store.ledger, accounts, clock)
    metered_tasks = Singleton(MeteredTaskLog, Store.kept_tasks, meter)
    releasing_tasks = Selector(
        slots_choice,
        unlimited=metered_tasks,
        limited=Singleton(SlotReleasingLog, metered_tasks, Store.limiter, accounts),
    )
    measured_tasks = Singleton(MeasuredTaskLog, releasing_tasks, metrics)
    tasks = traced(traces_choice, tracing, "TracedTaskLog", measured_tasks)
    housekeeping = kept(
        Store.store_choice,
        memory=Singleton(MemoryHousekeeping, Store.memory_tasks),
        file=Singleton(
            Housekeeping,
            Store.database,
            Store.file_tasks,
            Store.awake,
            Singleton(RequeueInterrupted, tasks, clock),
        ),
        redis=Object(None),
    )

    # The queue
    qstash_url = Selector(queue_choice, local=local_qstash_url, qstash=given.queue.qstash_url)
    queue_clock = Singleton(QueueClock, shared=given.queue.embedded)
    qstash = Singleton(
        connections.qstash_queue,
        settings,
        queue_credentials,
        qstash_url,
        base_url,
        queue_clock,
        Selector(traces_choice, off=Object(dict), otlp=tracing.provided.forwarded),
    )
    queue = traced(traces_choice, tracing, "TracedQueue", qstash)
    signing_keys = Singleton(connections.make_signing_keys, settings, queue_credentials, qstash)
    deliveries = Singleton(
        connections.delivery_verifier, settings, base_url, signing_keys, queue_clock
    )

    # The model
    model_client = Singleton(models.open_model, given.model, metrics)
    measured_model = Singleton(MeasuredModel, model_client, metrics)
    model = traced(traces_choice, tracing, "TracedModel", measured_model)

    # Webhooks
    webhook_sender = Singleton(
        HttpWebhookSender,
        f"Longtask/{__version__}",
        allow_private=given.webhooks.private_webhooks,
    )
    measured_sender = Singleton(MeasuredSender, webhook_sender, metrics)
