"""How long the service waits for HTTP clients, and how many of them it serves at once."""

from typing import ClassVar

from entrypoints.settings.group import Group, setting


class HttpSettings(Group):
    title: ClassVar[str] = "HTTP connections"

    request_timeout: float = setting(
        "LONGTASK_REQUEST_TIMEOUT",
        30.0,
        "How long a client may take to send the head of a request, and again to send its body.",
        unit="seconds",
        gt=0,
    )
    write_timeout: float = setting(
        "LONGTASK_WRITE_TIMEOUT",
        60.0,
        "How long a client may read nothing of its response before the connection is closed.",
        unit="seconds",
        gt=0,
    )
    sse_ping_interval: float = setting(
        "LONGTASK_SSE_PING_INTERVAL",
        15.0,
        "After how long without an event a stream is sent a comment, so that proxies and clients "
        "know that the connection is alive.",
        unit="seconds",
        gt=0,
    )
    max_connections: int | None = setting(
        "LONGTASK_MAX_CONNECTIONS",
        None,
        "How many connections one process holds open at once. More are refused with 503.",
        unit="connections",
        otherwise="what the limit of file descriptors (`ulimit -n`) allows, at most 20,000",
        ge=1,
    )
    max_streams: int = setting(
        "LONGTASK_MAX_STREAMS",
        10_000,
        "How many streams one process holds open at once. More are refused with 503.",
        unit="streams",
        ge=1,
    )
