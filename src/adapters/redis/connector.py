"""From an address to the way there through redis-py."""

from typing import Any

from redis.asyncio import Redis
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.connection import HiredisRespSerializer

from adapters.redis.cluster import ClusterConnection
from adapters.redis.server import ServerConnection
from adapters.redis_address import Address

HEALTH_CHECK_INTERVAL = 5
"""Seconds of idleness after which a connection is pinged: so long a dead one may go unnoticed."""
LISTENERS = 2
"""Connections beside those for commands: the one that listens, and the next while it is closed."""


def connect(
    address: Address, *, connections: int, connect_timeout: float, timeout: float
) -> ServerConnection | ClusterConnection:
    """Return a way to the Redis of an address. Nothing is connected yet.

    Time-outs are in seconds. At most `connections` are used for commands; in a cluster, so many
    commands are under way at once."""
    options: dict[str, Any] = {
        "protocol": 2,
        "retry": Retry(NoBackoff(), 0),
        "socket_connect_timeout": connect_timeout,
        "socket_timeout": timeout,
        "health_check_interval": HEALTH_CHECK_INTERVAL,
        **address.options,
    }
    if address.kind == "cluster":
        nodes = [ClusterNode(host, port) for host, port in address.hosts]
        return ClusterConnection(RedisCluster(startup_nodes=nodes, **options), connections, options)
    options |= {"max_connections": connections + LISTENERS, "socket_timeout": None}
    sentinel: Any = None
    if address.kind == "sentinel":
        own = {
            **options,
            "socket_timeout": timeout,
            "db": 0,
            "username": None,
            "password": None,
            **address.sentinel_login,
        }
        sentinel = Sentinel(address.hosts, sentinel_kwargs=own, **options)  # type: ignore[no-untyped-call]
        client = sentinel.master_for(address.service)
    elif address.hosts:
        host, port = address.hosts[0]
        client = Redis(host=host, port=port, **options)
    else:
        client = Redis(unix_socket_path=options.pop("path"), **options)
    pool = client.connection_pool
    pool.connection_class = type("Packing", (_Packing, pool.connection_class), {})
    return ServerConnection(client, connections, timeout, sentinel)


class _Packing:
    """A connection whose commands hiredis writes, as redis-py has it do without asyncio."""

    _serializer = HiredisRespSerializer()

    def pack_command(self, *words: Any) -> list[bytes]:
        packed: list[bytes] = self._serializer.pack(*words)
        return packed
