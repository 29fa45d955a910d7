"""The composition root: joins the parts that the settings choose.

Read it as a table. Each Selector is a choice that the settings make; the use cases, and what HTTP
needs beside them, are built from what is chosen. `server` is the only module that imports this one:
it gives the settings and the addresses that are known once the sockets are bound, and takes `http`
and `lifecycle`. The store is chosen in `store_container`, the queue and
the model in `outside_container`.
"""

from dependency_injector import providers
from dependency_injector.providers import List, Singleton

from adapters.json_schema import JsonSchemaChecker
from application.after_end import AfterEnd
from application.chats import Chats
from application.deadlines import EndOverdueTask
from application.follow_task import FollowTask
from application.get_usage import GetUsage
from application.list_models import ListModels
from application.list_tasks import ListTasks
from application.make_attempt import MakeAttempt
from application.manage_task import CancelTask, DeleteTask, GetTask
from application.owner_shares import OwnerShares
from application.quotas import Quotas
from application.reap import FailOrphanedTasks, HandleExhaustedDeliveries
from application.retry_task import RetryTask
from application.run_directly import RunDirectly
from application.run_task import RunTask
from application.send_webhook import SendWebhook
from application.start_task import StartTask
from application.use_cases import UseCases
from application.watch_tasks import WatchTasks
from entrypoints import choices
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
from entrypoints.lifecycle import Lifecycle
from entrypoints.outside_container import OutsideContainer as Outside
from entrypoints.providers import revealed


class Container(Outside):
    settings, given, metrics = Outside.settings, Outside.given, Outside.metrics
    clock, tasks, feed = Outside.clock, Outside.tasks, Outside.feed
    queue, model = Outside.queue, Outside.model

    # The use cases
    after_end = Singleton(AfterEnd, tasks, queue, model, clock)
    fail_if_orphaned = Singleton(FailOrphanedTasks, tasks, clock, Outside.orphan_timeout, after_end)
    accounts, meter = Outside.accounts, Outside.meter
    quotas = Singleton(Quotas, Outside.limiter, tasks, fail_if_orphaned, accounts, meter)
    checker = Singleton(JsonSchemaChecker)
    attempt_bounds = Singleton(choices.attempt_bounds, settings)
    make_attempt = Singleton(
        MakeAttempt,
        tasks,
        model,
        clock,
        meter,
        after_end,
        metrics,
        bounds=attempt_bounds,
        checker=checker,
    )
    shares = Singleton(
        OwnerShares,
        Outside.limiter,
        given.access.shares,
        clock,
        attempt_bounds.provided.lease,
        queue_holds_shares=providers.Callable(choices.queue_holds_shares, settings),
    )
    run_task = Singleton(
        RunTask,
        tasks,
        feed,
        model,
        clock,
        make_attempt,
        after_end,
        shares=shares,
        lease=attempt_bounds.provided.lease,
        max_concurrent_deliveries=given.service.max_concurrent_deliveries,
    )
    webhook_rules = Singleton(choices.webhook_rules, settings)
    request_bounds = Singleton(choices.request_bounds, settings)
    model_rules = given.model.rules
    get_task = Singleton(GetTask, tasks, clock, fail_if_orphaned)
    cancel_task = Singleton(CancelTask, tasks, queue, clock, after_end)
    start_task = Singleton(
        StartTask,
        tasks,
        Outside.idempotency_keys,
        queue,
        clock,
        Outside.ids,
        quotas,
        get_task,
        cancel_task,
        bounds=request_bounds,
        webhooks=webhook_rules,
        models=model_rules,
        orphan_timeout=Outside.orphan_timeout,
    )
    use_cases = Singleton(
        UseCases,
        start_task=start_task,
        retry_task=Singleton(RetryTask, get_task, start_task),
        chats=Singleton(Chats, Outside.idempotency_keys, get_task),
        get_task=get_task,
        cancel_task=cancel_task,
        delete_task=Singleton(DeleteTask, tasks, cancel_task, after_end),
        follow_task=Singleton(
            FollowTask,
            tasks,
            feed,
            clock,
            fail_if_orphaned,
            metrics,
            ping_interval=given.http.sse_ping_interval,
            max_streams=given.http.max_streams,
        ),
        list_tasks=Singleton(ListTasks, Outside.index, fail_if_orphaned),
        watch_tasks=Singleton(
            WatchTasks,
            Outside.index,
            feed,
            clock,
            fail_if_orphaned,
            ping_interval=given.http.sse_ping_interval,
            max_watchers=providers.Callable(choices.max_watchers, settings),
        ),
        list_models=Singleton(ListModels, model, given.model.default_model, model_rules),
        get_usage=Singleton(
            GetUsage, Outside.ledger, given.usage.price_table, given.usage.operators
        ),
        run_task=run_task,
        run_directly=Singleton(
            RunDirectly,
            tasks,
            clock,
            Outside.ids,
            quotas,
            run_task,
            bounds=request_bounds,
            models=model_rules,
        ),
        end_overdue=Singleton(
            EndOverdueTask,
            tasks,
            feed,
            queue,
            clock,
            fail_if_orphaned,
            after_end,
            Outside.orphan_timeout,
        ),
        send_webhook=Singleton(
            SendWebhook,
            tasks,
            queue,
            Outside.measured_sender,
            clock,
            webhook_rules,
        ),
        handle_exhausted=Singleton(HandleExhaustedDeliveries, tasks, feed, queue, clock, after_end),
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
    readiness = Singleton(Readiness, tasks, queue, Outside.signing_keys, Outside.queue_clock)
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
        deliveries=Outside.deliveries,
        delivery_bodies=delivery_bodies,
        start_bodies=start_bodies,
        request_bounds=request_bounds,
        prices=given.usage.price_table,
        shares=shares,
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
        tracing=Outside.tracing,
        request_defaults=Singleton(choices.request_defaults, settings),
        cors_origins=given.access.named_origins,
        readable_by_all=given.access.readable_by_all,
        prefix=given.prefix,
        development=given.development,
    )
    lifecycle = Singleton(
        Lifecycle,
        run_task=run_task,
        feed=feed,
        held_streams=held_streams,
        open_streams=open_streams,
        valid_keys=valid_keys,
        meter=meter,
        quotas=quotas,
        shares=shares,
        signing_keys=Outside.signing_keys,
        metrics=metrics,
        connections=List(
            open_streams,
            Outside.qstash,
            Outside.model_client,
            Outside.webhook_sender,
            checker,
            feed,
            Outside.connection,
            Outside.tracing,
        ),
    )
