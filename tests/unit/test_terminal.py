"""What callers, models and servers say never acts on a terminal."""

import io
import logging
import sys

import pytest
import structlog

from entrypoints.client.printing import Printer
from entrypoints.log_output import configure_logs
from entrypoints.terminal import one_line, printable

HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31m\x08\x7fend"
SHOWN = r"\x1b]0;owned\x07\x1b[2J\x9b31m\x08\x7fend"


def test_control_characters_are_shown_and_not_sent() -> None:
    assert one_line(HOSTILE + "\r\n") == SHOWN + r"\x0d\x0a"
    assert printable("a\tb\r\n" + HOSTILE) == "a\tb\n" + SHOWN
    assert printable("Grüße, 世界 🌍 ‎") == "Grüße, 世界 🌍 ‎"


def test_what_turns_the_direction_of_a_line_is_shown() -> None:
    assert one_line("a\u202eb\u2066c\u2028") == r"a\u202eb\u2066c\u2028"
    assert printable("\ud83d|\U0001f30d") == one_line("\ud83d|\U0001f30d") == "\\ud83d|\U0001f30d"


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def terminal(monkeypatch: pytest.MonkeyPatch) -> _Terminal:
    """In the place of both outputs, from here on: pytest sets its own between a fixture and a
    test."""
    stream = _Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(sys, "stdout", stream)
    return stream


def test_a_log_line_on_a_terminal_holds_no_control_characters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown = terminal(monkeypatch)
    before, handlers = structlog.get_config(), logging.getLogger().handlers[:]
    try:
        configure_logs("INFO", console=True)
        structlog.get_logger("test").error("request", path=HOSTILE, exc_info=ValueError(HOSTILE))
        logging.getLogger("foreign").error("told %s", HOSTILE)
    finally:
        structlog.configure(**before)
        logging.getLogger().handlers[:] = handlers
    written = shown.getvalue()
    assert written.count(SHOWN) == 3
    for control in ("\x07", "\x1b]", "\x1b[2J", "\x9b", "\x08", "\x7f"):
        assert control not in written


def test_ask_shows_an_answer_without_control_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = terminal(monkeypatch)
    Printer().show("1", {"type": "content", "data": HOSTILE})
    Printer().show("1", {"type": "error", "data": HOSTILE, "code": "x"})
    assert shown.getvalue().count(SHOWN) == 2
    assert "\x1b" not in shown.getvalue()


def test_ask_passes_an_answer_on_to_a_file_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.StringIO()
    monkeypatch.setattr(sys, "stdout", file)
    end = {"type": "end", "data": HOSTILE, "finishReason": "stop", "model": "m", "usage": None}
    Printer().show("1", end)
    assert file.getvalue() == f"{HOSTILE}\n"
