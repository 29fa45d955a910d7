"""That the watch for leaks sees: it would find what it looks for."""

import logging
from collections.abc import Iterator

import httpx
import pytest
import structlog

from tests.leaks import PROMPT, WATCH
from tests.running import Running


@pytest.fixture(autouse=True)
def _found_on_purpose() -> Iterator[None]:
    yield
    WATCH.found.clear()


@pytest.mark.parametrize(
    "leak",
    [PROMPT, "sk-planted-secret", "lt_" + "x" * 43, "/stream?token=eyJhbGciOi", "Hello, world."],
)
def test_a_line_that_holds_it_is_found(leak: str) -> None:
    structlog.get_logger("anything").debug("a line", value=f"before {leak} after")
    assert len(WATCH.found) == 1


def test_a_traceback_that_holds_it_is_found() -> None:
    logging.getLogger("anything").error("broke", exc_info=ValueError(PROMPT))
    assert WATCH.found


def test_error_bodies_and_figures_are_looked_at(service: Running) -> None:
    before = WATCH.looked_at
    with httpx.Client(base_url=service.url) as client:
        client.get("/api/tasks/unknown")
        client.get("/metrics")
    assert WATCH.looked_at >= before + 2
    assert not WATCH.found
