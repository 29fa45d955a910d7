"""Logs and traces."""

from typing import Annotated, ClassVar, Literal

from entrypoints.settings.group import Group, http_url, parsed, setting


class ObservabilitySettings(Group):
    title: ClassVar[str] = "Logs and traces"

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = setting(
        "LONGTASK_LOG_LEVEL", "INFO", "`DEBUG`, `INFO`, `WARNING` or `ERROR`."
    )
    log_format: Literal["auto", "json", "console"] = setting(
        "LONGTASK_LOG_FORMAT",
        "auto",
        "`json`, `console`, or `auto`: JSON in production, console in development.",
    )
    otlp_endpoint: Annotated[str | None, parsed(http_url)] = setting(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        None,
        "The URL that traces are sent to, as OTLP over HTTP, such as `http://localhost:4318`. "
        "Without it no traces are made. Needs the extra `longtask[traces]`. OpenTelemetry's other "
        "environment variables apply too.",
    )
