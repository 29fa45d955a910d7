"""Where log lines go and what they look like: one pipe for ours, uvicorn's and every library's.

Lines go to standard error: JSON in production, readable in a terminal. Libraries that log requests
in full at INFO are held at WARNING, since a URL may carry what must not be logged.
"""

import logging.config
import sys
from typing import Any

import structlog

LOUD = ("httpx", "httpx2", "httpcore", "httpcore2", "openai", "asyncio")


def configure_logs(level: str, console: bool, traced: bool = False) -> None:
    """`traced`: with the ids of the span that a line belongs to."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if traced:
        from adapters.opentelemetry import trace_ids  # noqa: PLC0415  (an extra)

        shared.insert(1, trace_ids)
    rendering: list[Any] = (
        [
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(),
                # Prettier ones show local variables: prompts and keys are among them.
                exception_formatter=structlog.dev.plain_traceback,
            )
        ]
        if console
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    # Of each line, what none shows: a system call, and more.
    logging.logProcesses = logging.logThreads = logging.logMultiprocessing = False
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "structured": {
                    "()": structlog.stdlib.ProcessorFormatter,
                    "foreign_pre_chain": shared,
                    "processors": [
                        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                        *rendering,
                    ],
                }
            },
            "handlers": {
                "stderr": {"class": "logging.StreamHandler", "formatter": "structured"},
            },
            "root": {"level": level, "handlers": ["stderr"]},
            "loggers": {name: {"level": "WARNING"} for name in LOUD},
        }
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
