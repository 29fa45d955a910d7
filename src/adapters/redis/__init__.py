"""The store on Redis: state that any instance can serve, and that survives each of them."""

from adapters.redis.adoption import Adopted, Adoption
from adapters.redis.broker import RedisBroker
from adapters.redis.connection import Connection
from adapters.redis.connector import connect
from adapters.redis.idempotency import RedisIdempotencyKeys
from adapters.redis.limiter import RedisLimiter
from adapters.redis.rest import RestConnection
from adapters.redis.task_index import RedisTaskIndex
from adapters.redis.task_log import RedisTaskLog
from adapters.redis.usage import RedisUsageLedger

__all__ = [
    "Adopted",
    "Adoption",
    "Connection",
    "RedisBroker",
    "RedisIdempotencyKeys",
    "RedisLimiter",
    "RedisTaskIndex",
    "RedisTaskLog",
    "RedisUsageLedger",
    "RestConnection",
    "connect",
]
