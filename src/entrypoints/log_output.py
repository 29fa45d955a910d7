"""Log lines on standard error: JSON, or readable text for a terminal, in one format for the
service, uvicorn and all libraries.

Libraries that log whole requests at INFO are limited to WARNING, since a URL may contain what must
not be logged. So is uvicorn, because the service itself logs its start and stop.
"""

import contextlib
import logging.config
import sys
from io import StringIO
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, ExcInfo

from entrypoints.terminal import one_line, printable

NOISY_LOGGERS = ("httpx", "httpx2", "httpcore", "httpcore2", "openai", "asyncio", "uvicorn.error")


class _Lines:
    """Writes the service's own lines without `logging`, which costs more than rendering them. As
    with `logging`, a line that cannot be written is dropped and raises nothing."""

    def __init__(self, name: str) -> None:
        self.name = name

    def msg(self, line: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(line + "\n")

    debug = info = warning = error = critical = msg


def _without_controls(_: Any, __: str, event: EventDict) -> EventDict:
    """Escape control characters: a line may contain text from a caller, such as a path, which must
    not control the terminal."""
    return {
        name: one_line(value) if isinstance(value, str) else value for name, value in event.items()
    }


def _plain_traceback(stream: TextIO, error: ExcInfo) -> None:
    """Print a traceback without local variables, which may hold prompts and keys."""
    plain = StringIO()
    structlog.dev.plain_traceback(plain, error)
    stream.write(printable(plain.getvalue()))


def configure_logs(level: str, console: bool, traced: bool = False) -> None:
    """Set up logging for the process. `traced` adds the ids of the current span to each line."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if traced:
        from adapters.opentelemetry import trace_ids  # noqa: PLC0415  (an extra)

        shared.insert(1, trace_ids)
    rendering: list[Any] = (
        [
            _without_controls,
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=_plain_traceback
            ),
        ]
        if console
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
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
            "loggers": {name: {"level": "WARNING"} for name in NOISY_LOGGERS},
        }
    )
    structlog.configure(
        processors=[*shared, *rendering],
        logger_factory=_Lines,
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=False,
    )
