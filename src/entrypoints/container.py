"""The composition root: joins the parts that the settings choose.

Read it as a table. Each Selector is a choice that the settings make; the use cases, and what HTTP
needs beside them, are built from what is chosen. `server` is the only module that imports this one:
it gives the settings and the addresses that are known once the sockets are bound, and takes `http`
and `lifecycle`. The store is chosen in `store_container`.
"""

from dependency_injector import providers
from dependency_injector.providers import Dependency, Factory, List, Object, Selector, Singleton

from adapters.demo import DemoModel
from adapters.json_schema import JsonSchemaChecker
from adapters.prometheus import MeasuredModel, MeasuredSender, MeasuredTaskLog
from adapters.qstash import QueueClock, QueueCredentials
from adapters.sqlite import Housekeeping
from adapters.webhooks import HttpWebhookSender
from application.accounts import Accounts
from application.chats import Chats
from application.deadlines import EndOverdueTask
from application.follow_task import FollowTask
from application.list_models import ListModels
from application.list_tasks import ListTasks
from application.manage_task import CancelTask, DeleteTask, GetTask
from application.quotas import Quotas
from application.reap import FailOrphanedTasks, HandleExhaustedDeliveries, RequeueInterrupted
from application.retry_task import RetryTask
from application.run_directly import RunDirectly
from application.run_task import RunTask
from application.running_slots import SlotReleasingLog
from application.send_webhook import SendWebhook
from application.start_task import StartTask
from application.use_cases import UseCases
from application.watch_tasks import WatchTasks
from application.webhooks import LateWebhooks
from entrypoints import __version__, choices, connections
from entrypoints.http.access import Access
from entrypoints.http.ai_sdk.views import UiView
from entrypoints.http.delivery_bodies import DeliveryBodies
from entrypoints.http.open_streams import OpenStreams
from entrypoints.http.openai.views import ResponseView
from entrypoints.http.parts import HttpParts
from entrypoints.http.readiness import Readiness
from entrypoints.http.request_counts import RequestCounts
from entrypoints.http.sse.checkpoints import Views
from entrypoints.http.sse.encoder import SseEncoder
from entrypoints.http.sse.held_streams import HeldStreams
from entrypoints.http.sse.projected import Steps
from entrypoints.http.start_bodies import StartBodies
from entrypoints.identity import RandomTaskIds, SystemClock
from entrypoints.lifecycle import Lifecycle
from entrypoints.providers import kept, on_demand, revealed, traced
from entrypoints.store_container import StoreContainer as Store


class Container(Store):
    # Given by the server
    base_url = Dependency(instance_of=str)
    local_qstash_url = Dependency(instance_of=str, default="")
    queue_credentials = Dependency(instance_of=QueueCredentials)
    settings, given = Store.settings, Store.given

    # What the settings choose
    queue_choice = providers.Callable(choices.queue_of, settings)  # local | qstash
    model_choice = providers.Callable(choices.model_of, settings)  # demo | openai
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
    accounts = Factory(Accounts, given.access.limits, given.access.address_limits)
    releasing_tasks = Selector(
        slots_choice,
        unlimited=Store.kept_tasks,
        limited=Singleton(SlotReleasingLog, Store.kept_tasks, Store.limiter, accounts),
    )
    measured_tasks = Singleton(MeasuredTaskLog, releasing_tasks, metrics)
    tasks = traced(traces_choice, tracing, "TracedTaskLog", measured_tasks)
    housekeeping = kept(
        Store.store_choice,
        memory=Object(None),
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
    model_client = Selector(
        model_choice,
        demo=Singleton(DemoModel, given.model.demo_speed),
        openai=Singleton(
            on_demand("adapters.openai:OpenAIModel"),
            api_key=providers.Callable(revealed, given.model.openai_api_key),
            base_url=given.model.openai_base_url,
            read_timeout=given.model.model_read_timeout,
        ),
    )
    measured_model = Singleton(MeasuredModel, model_client, metrics)
    model = traced(traces_choice, tracing, "TracedModel", measured_model)

    # Webhooks
    webhook_sender = Singleton(
        HttpWebhookSender,
        f"Longtask/{__version__}",
        allow_private=given.webhooks.private_webhooks,
    )
    measured_sender = Singleton(MeasuredSender, webhook_sender, metrics)

    # The use cases
    late_webhooks = Singleton(LateWebhooks, tasks, queue)
    fail_if_orphaned = Singleton(
        FailOrphanedTasks, tasks, clock, Store.orphan_timeout, late_webhooks
    )
    quotas = Singleton(Quotas, Store.limiter, tasks, fail_if_orphaned, accounts)
    checker = Singleton(JsonSchemaChecker)
    run_task = Singleton(
        RunTask,
        tasks,
        Store.feed,
        model,
        clock,
        quotas,
        queue,
        bounds=Singleton(choices.attempt_bounds, settings),
        max_concurrent_deliveries=given.service.max_concurrent_deliveries,
        checker=checker,
    )
    webhook_rules = Singleton(choices.webhook_rules, settings)
    request_bounds = Singleton(choices.request_bounds, settings)
    get_task = Singleton(GetTask, tasks, clock, fail_if_orphaned)
    cancel_task = Singleton(CancelTask, tasks, queue, clock)
    start_task = Singleton(
        StartTask,
        tasks,
        Store.idempotency_keys,
        queue,
        clock,
        ids,
        quotas,
        get_task,
        cancel_task,
        bounds=request_bounds,
        webhooks=webhook_rules,
        orphan_timeout=Store.orphan_timeout,
    )
    use_cases = Singleton(
        UseCases,
        start_task=start_task,
        retry_task=Singleton(RetryTask, get_task, start_task),
        chats=Singleton(Chats, Store.idempotency_keys, get_task),
        get_task=get_task,
        cancel_task=cancel_task,
        delete_task=Singleton(DeleteTask, tasks, cancel_task),
        follow_task=Singleton(
            FollowTask,
            tasks,
            Store.feed,
            clock,
            fail_if_orphaned,
            metrics,
            ping_interval=given.http.sse_ping_interval,
            max_streams=given.http.max_streams,
        ),
        list_tasks=Singleton(ListTasks, Store.index, fail_if_orphaned),
        watch_tasks=Singleton(
            WatchTasks,
            Store.index,
            Store.feed,
            clock,
            fail_if_orphaned,
            ping_interval=given.http.sse_ping_interval,
            max_watchers=providers.Callable(choices.max_watchers, settings),
        ),
        list_models=Singleton(ListModels, model, given.model.default_model),
        run_task=run_task,
        run_directly=Singleton(
            RunDirectly, tasks, clock, ids, quotas, run_task, bounds=request_bounds
        ),
        end_overdue=Singleton(
            EndOverdueTask, tasks, Store.feed, queue, clock, fail_if_orphaned, Store.orphan_timeout
        ),
        send_webhook=Singleton(
            SendWebhook, tasks, queue, measured_sender, clock, webhook_rules, given.tasks.task_ttl
        ),
        handle_exhausted=Singleton(HandleExhaustedDeliveries, tasks, Store.feed, queue, clock),
        quotas=quotas,
    )

    # What the server takes
    valid_keys = Singleton(choices.valid_keys, settings)
    access = Singleton(
        Access,
        valid_keys,
        providers.Callable(revealed, given.access.stream_secret),
        given.access.stream_link_ttl,
        given.prefix,
        given.access.chat_token_ttl,
    )
    origins = Singleton(choices.origins, settings)
    start_bodies = Singleton(StartBodies, providers.Callable(choices.start_room, settings))
    delivery_bodies = Singleton(DeliveryBodies, given.queue.max_message_bytes)
    readiness = Singleton(Readiness, tasks, queue, signing_keys, queue_clock)
    request_counts = Singleton(RequestCounts, metrics)
    open_streams = Singleton(OpenStreams, quotas, request_counts, valid_keys)
    held_streams = Singleton(
        HeldStreams,
        request_counts,
        seconds=given.http.hold_ended_streams,
        ping_interval=given.http.sse_ping_interval,
        per_address=given.http.max_held_streams_per_address,
        in_all=providers.Callable(choices.held_streams, settings),
    )
    http = Singleton(
        HttpParts,
        use_cases=use_cases,
        access=access,
        origins=origins,
        readiness=readiness,
        deliveries=deliveries,
        delivery_bodies=delivery_bodies,
        start_bodies=start_bodies,
        request_bounds=request_bounds,
        sse_encoder=Singleton(SseEncoder),
        steps=Singleton(Steps),
        response_views=Singleton(Views, get_task, ResponseView),
        ui_views=Singleton(Views, get_task, UiView),
        rejects_in_running_chats=given.tasks.rejects_in_running_chats,
        trusts_callers=given.trusts_callers,
        ping_interval=given.http.sse_ping_interval,
        clock=clock,
        metrics=metrics,
        request_counts=request_counts,
        open_streams=open_streams,
        held_streams=held_streams,
        tracing=tracing,
        request_defaults=Singleton(choices.request_defaults, settings),
        cors_origins=given.access.named_origins,
        readable_by_all=given.access.readable_by_all,
        prefix=given.prefix,
        development=given.development,
    )
    lifecycle = Singleton(
        Lifecycle,
        run_task=run_task,
        feed=Store.feed,
        held_streams=held_streams,
        open_streams=open_streams,
        valid_keys=valid_keys,
        quotas=quotas,
        signing_keys=signing_keys,
        metrics=metrics,
        connections=List(
            open_streams,
            qstash,
            model_client,
            webhook_sender,
            checker,
            Store.feed,
            Store.connection,
            tracing,
        ),
    )
