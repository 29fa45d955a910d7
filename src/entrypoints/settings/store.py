"""Where tasks are kept: the memory of the process, a Redis, or Upstash's REST API."""

from typing import Annotated, ClassVar

from pydantic import SecretStr

from adapters.redis import Address, parse_address
from entrypoints.settings.group import Group, http_url, parsed, secret_word, setting


class StoreSettings(Group):
    title: ClassVar[str] = "The store"

    redis_url: Annotated[Address | None, parsed(parse_address)] = setting(
        "REDIS_URL",
        None,
        "The Redis that keeps the tasks: a `redis://`, `rediss://`, `unix://`, `redis+sentinel://` "
        "or `redis+cluster://` URL, see [docs/redis.md](redis.md). Without it tasks live in the "
        "memory of one process.",
        secret=True,
    )
    upstash_redis_rest_url: Annotated[str | None, parsed(http_url)] = setting(
        "UPSTASH_REDIS_REST_URL",
        None,
        "The URL of Upstash's REST API, to use instead of `REDIS_URL` (set one or the other) where "
        "only HTTPS leaves the network. Requires `UPSTASH_REDIS_REST_TOKEN`.",
    )
    upstash_redis_rest_token: Annotated[SecretStr | None, parsed(secret_word)] = setting(
        "UPSTASH_REDIS_REST_TOKEN",
        None,
        "The token of Upstash's REST API. Requires `UPSTASH_REDIS_REST_URL`.",
    )
    redis_connections: int = setting(
        "LONGTASK_REDIS_CONNECTIONS",
        50,
        "How many connections one process opens for commands, in addition to the one that "
        "subscribes. When all are in use, commands wait.",
        unit="connections",
        ge=1,
    )
    redis_connect_timeout: float = setting(
        "LONGTASK_REDIS_CONNECT_TIMEOUT",
        5.0,
        "How long to wait for a connection to Redis.",
        unit="seconds",
        gt=0,
    )
    redis_timeout: float = setting(
        "LONGTASK_REDIS_TIMEOUT",
        5.0,
        "How long to wait for Redis to respond to a command.",
        unit="seconds",
        gt=0,
    )

    @property
    def name(self) -> str:
        if self.redis_url is not None:
            return "Redis"
        return "memory" if self.upstash_redis_rest_url is None else "Redis over REST"

    @property
    def in_memory(self) -> bool:
        return self.name == "memory"
