"""The process: where it listens, how many of it run, and how it stops."""

from typing import Annotated, ClassVar, Literal

from entrypoints.settings.group import Group, http_url, parsed, setting


class ServiceSettings(Group):
    title: ClassVar[str] = "The service"

    env: Literal["development", "production"] | None = setting(
        "LONGTASK_ENV",
        None,
        "`development` or `production`. Development enables `GET /api/qstash/webhook`, accepts API "
        "keys in plain text and formats the log for a terminal.",
        otherwise="`production` if `QSTASH_TOKEN` is set, else `development`",
    )
    host: str = setting("LONGTASK_HOST", "127.0.0.1", "The address to listen on.")
    port: int = setting(
        "LONGTASK_PORT", 8000, "The port to listen on. 0 picks a free one.", ge=0, le=65535
    )
    base_url: Annotated[str | None, parsed(http_url)] = setting(
        "BASE_URL",
        None,
        "The URL at which QStash and clients reach this service. Required with `QSTASH_TOKEN`. If "
        "it has a path (`https://example.org/longtask`), every address that the service gives out "
        "begins with it, and the proxy must strip it from requests. Where it is not set, "
        "`NEXT_PUBLIC_BASE_URL` is read, the older system's name for it.",
        otherwise="the address that it listens on",
        instead="NEXT_PUBLIC_BASE_URL",
    )
    workers: int = setting(
        "LONGTASK_WORKERS",
        1,
        "How many processes serve requests. More than one need Redis.",
        unit="processes",
        ge=1,
        le=256,
    )
    grace: float = setting(
        "LONGTASK_GRACE",
        5.0,
        "How long running attempts may go on after the process is told to stop. The tasks of those "
        "that have not ended by then are requeued, and another worker claims them.",
        unit="seconds",
        ge=0,
    )
    max_concurrent_deliveries: int = setting(
        "LONGTASK_MAX_CONCURRENT_DELIVERIES",
        1_000,
        "How many deliveries one process works on at once. It refuses more, and QStash delivers "
        "them again later.",
        unit="deliveries",
        ge=1,
    )
