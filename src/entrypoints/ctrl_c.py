"""Ctrl-C before a server handles it: it ends the process at once and quietly.

Python would raise KeyboardInterrupt, wherever it is: with a traceback while modules are imported,
and to no effect in a `__del__`, so that the server would start after all. Nothing is lost by an end
at once: what the data file has is whole at any moment.
"""

import os
import signal

EXIT_STATUS = 130
"""As shells have it for a program that SIGINT has ended."""


def end_by_ctrl_c() -> None:
    """Let Ctrl-C end the process until another handler is set, unless it is ignored, as in the
    background of a script."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)


def raise_at_ctrl_c() -> None:
    """Undo `end_by_ctrl_c`, for a command that tidies up."""
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _end(*_: object) -> None:
    os._exit(EXIT_STATUS)
