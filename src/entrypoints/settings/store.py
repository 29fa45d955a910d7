"""Where tasks are kept: in a file, the memory of the process, a Redis, or Upstash's REST API."""

import os
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import SecretStr

from adapters.redis_address import Address, parse_address
from entrypoints.settings.group import Group, http_url, parsed, secret_word, setting

IN_MEMORY = "memory"
FILE_NAME = "longtask.db"


def _path(text: str) -> str:
    path = text.strip()
    if not path:
        raise ValueError("must name a folder or a file, not white space alone")
    return path


class StoreSettings(Group):
    title: ClassVar[str] = "The store"

    data: Annotated[str, parsed(_path)] = setting(
        "LONGTASK_DATA",
        ".longtask",
        f"The folder of the file (`{FILE_NAME}`) that keeps tasks and the messages of the local "
        "queue, or the file itself if the name ends in `.db`. One process at a time holds it. With "
        "`REDIS_URL` it keeps only the messages, and with `QSTASH_TOKEN` too there is no file. "
        "`memory` keeps nothing on disk.",
    )
    redis_url: Annotated[Address | None, parsed(parse_address)] = setting(
        "REDIS_URL",
        None,
        "The Redis that keeps the tasks: a `redis://`, `rediss://`, `unix://`, `redis+sentinel://` "
        "or `redis+cluster://` URL, see [docs/redis.md](redis.md). Without it tasks are kept in "
        "the file that `LONGTASK_DATA` names.",
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
    def kind(self) -> Literal["memory", "file", "redis", "rest"]:
        """Where tasks are kept."""
        if self.redis_url is not None:
            return "redis"
        if self.upstash_redis_rest_url is not None:
            return "rest"
        return "memory" if self.file is None else "file"

    @property
    def shared(self) -> bool:
        """Whether several processes can use the store at once."""
        return self.kind in ("redis", "rest")

    @property
    def file(self) -> Path | None:
        """The file that `LONGTASK_DATA` names. None if nothing is kept on disk."""
        if self.data == IN_MEMORY:
            return None
        # These do not raise where a home is unknown or a folder may not be searched.
        path = Path(os.path.expanduser(self.data))
        is_file = os.path.isfile(path) or (path.suffix == ".db" and not os.path.isdir(path))
        return path if is_file else path / FILE_NAME
