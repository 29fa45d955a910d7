"""The part of the composition root that is the store: what of it the settings choose.

`container` goes on from it.
"""

from collections.abc import Callable
from typing import Any

from dependency_injector import containers, providers
from dependency_injector.providers import Dependency, Object, Selector, Singleton

from adapters.live import Hub
from adapters.memory import (
    MemoryIdempotencyKeys,
    MemoryLimiter,
    MemoryTaskLog,
    MemoryUsageLedger,
)
from adapters.prometheus import Metrics
from adapters.sqlite import (
    AwakeClock,
    SqliteIdempotencyKeys,
    SqliteLimiter,
    SqliteTaskLog,
    SqliteUsageLedger,
)
from entrypoints import choices, connections
from entrypoints.providers import kept, on_demand
from entrypoints.settings import Settings


def of_redis(name: str) -> Callable[..., Any]:
    """Return a class of `adapters.redis`, which is loaded when the first instance is made."""
    return on_demand(f"adapters.redis:{name}")


class StoreContainer(containers.DeclarativeContainer):
    # Given by the server
    settings = Dependency(instance_of=Settings)
    database: Dependency[Any] = Dependency(default=None)  # the data file, if one is used
    given = settings.provided

    metrics = Singleton(Metrics)
    store_choice = given.store.kind  # memory | file | redis | rest
    connection = Selector(
        store_choice,
        memory=Object(None),
        file=Object(None),  # the server opens the database and closes it
        redis=Singleton(connections.redis_connection, settings),
        rest=Singleton(connections.rest_connection, settings),
    )
    limiter = kept(
        store_choice,
        memory=Singleton(MemoryLimiter),
        file=Singleton(SqliteLimiter, database),
        redis=Singleton(of_redis("RedisLimiter"), connection),
    )
    idempotency_keys = kept(
        store_choice,
        memory=Singleton(MemoryIdempotencyKeys),
        file=Singleton(SqliteIdempotencyKeys, database),
        redis=Singleton(of_redis("RedisIdempotencyKeys"), connection),
    )
    ledger = kept(
        store_choice,
        memory=Singleton(MemoryUsageLedger),
        file=Singleton(SqliteUsageLedger, database),
        redis=Singleton(of_redis("RedisUsageLedger"), connection),
    )

    # Tasks, their index, and what tells of them
    hub = Singleton(Hub)
    feed = kept(
        store_choice,
        memory=hub,
        file=hub,
        redis=Singleton(Hub, Singleton(of_redis("RedisBroker"), connection, metrics)),
    )
    orphan_timeout = providers.Callable(choices.orphan_timeout, settings)
    lifetimes = (given.tasks.task_ttl, orphan_timeout)
    awake = Singleton(AwakeClock)
    memory_tasks = Singleton(MemoryTaskLog, hub, *lifetimes)
    file_tasks = Singleton(SqliteTaskLog, database, hub, *lifetimes, clock=awake)
    kept_tasks = kept(
        store_choice,
        memory=memory_tasks,
        file=file_tasks,
        redis=Singleton(of_redis("RedisTaskLog"), connection, *lifetimes),
    )
    index = kept(
        store_choice,
        memory=memory_tasks.provided.index,
        file=file_tasks.provided.index,
        redis=Singleton(of_redis("RedisTaskIndex"), connection, given.tasks.task_ttl),
    )
