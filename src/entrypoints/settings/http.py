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
    hold_ended_streams: float = setting(
        "LONGTASK_HOLD_ENDED_STREAMS",
        3_600.0,
        "How long the stream of a browser's EventSource is held open behind its last event, for "
        "pages that never close it and take the end for an error, as that of the older system does "
        "(docs/older-system.md). A page that closes its EventSource is not affected. 0 holds none.",
        unit="seconds",
        ge=0,
    )
    max_held_streams_per_address: int = setting(
        "LONGTASK_MAX_HELD_STREAMS_PER_ADDRESS",
        4,
        "How many such streams one process holds for one network address. One more takes the "
        "place of the one held longest. A browser opens six connections to a host, and needs some "
        "for more than streams.",
        unit="streams",
        ge=0,
    )
    max_held_streams: int = setting(
        "LONGTASK_MAX_HELD_STREAMS",
        1_000,
        "How many such streams one process holds, at most a quarter of its connections.",
        unit="streams",
        ge=0,
    )
