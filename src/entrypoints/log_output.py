"""Where log lines go and what they look like: one look for ours, uvicorn's and every library's.

Lines go to standard error: JSON in production, readable in a terminal. Libraries that log requests
in full at INFO are held at WARNING, since a URL may carry what must not be logged; so is uvicorn,
which tells of its own starting and stopping what the service says in a line each.
"""

import contextlib
import logging.config
import sys
from io import StringIO
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, ExcInfo

from entrypoints.terminal import one_line, printable

LOUD = ("httpx", "httpx2", "httpcore", "httpcore2", "openai", "asyncio", "uvicorn.error")


class _Lines:
    """Where a line of ours ends: past `logging`, which costs more than all that makes a line. Like
    there, a line that cannot be written stops nothing else."""

    def __init__(self, name: str) -> None:
        self.name = name

    def msg(self, line: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(line + "\n")

    debug = info = warning = error = critical = msg


def _without_controls(_: Any, __: str, event: EventDict) -> EventDict:
    """What callers sent (a path, say) may stand in a line, but must not act on the terminal."""
    return {
        name: one_line(value) if isinstance(value, str) else value for name, value in event.items()
    }


def _plain_traceback(stream: TextIO, error: ExcInfo) -> None:
    """Prettier ones show local variables: prompts and keys are among them."""
    plain = StringIO()
    structlog.dev.plain_traceback(plain, error)
    stream.write(printable(plain.getvalue()))


def configure_logs(level: str, console: bool, traced: bool = False) -> None:
    """`traced`: with the ids of the span that a line belongs to."""
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
            "loggers": {name: {"level": "WARNING"} for name in LOUD},
        }
    )
    structlog.configure(
        processors=[*shared, *rendering],
        logger_factory=_Lines,
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=False,
    )
