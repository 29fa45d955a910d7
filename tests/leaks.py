"""What must never be seen: secrets and texts that the tests plant, looked for in every log line,
metrics page and error body of the whole suite.

`conftest` installs the watch; a test during which something leaked fails.
"""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from entrypoints.log_output import NOISY_LOGGERS

PROMPT = "Say hello. (planted-prompt)"
"""What a test's client asks where the test does not care."""
PLANTED = re.compile(
    "|".join(
        (
            "planted-",  # prompts, keys of the model
            re.escape("Hello, world."),  # what the scripted model answers where nobody cares
            "a secret of forty characters",  # stream secrets
            r"lt_[A-Za-z0-9_-]{40,}",  # API keys
            r"token=eyJ",  # links to streams
            r"(?:embedded|sig)_[A-Za-z0-9_-]{40,}",  # the embedded queue's token and keys
        )
    )
)


class Watch(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.looked_at = 0
        self.found: list[str] = []
        self._format = logging.Formatter("%(name)s %(message)s").format

    def emit(self, record: logging.LogRecord) -> None:
        self.look("a log line", self._format(record))

    def look(self, where: str, text: str) -> None:
        self.looked_at += 1
        if (match := PLANTED.search(text)) is not None:
            begin = max(0, match.start() - 200)
            self.found.append(f"{where}: ...{text[begin : match.end() + 50]}")


WATCH = Watch()


def listen_to_all_lines() -> None:
    """Look at all lines that are logged, of DEBUG and above. For each test anew: some tests and
    tools set up logging of their own."""
    root = logging.getLogger()
    root.addHandler(WATCH)  # once, however often
    root.setLevel(logging.DEBUG)
    for name in NOISY_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)  # as configure_logs does


@contextmanager
def watching() -> Iterator[None]:
    """Look at what clients are answered."""
    send = httpx.Client.send

    def watched(client: httpx.Client, request: httpx.Request, **options: Any) -> httpx.Response:
        response = send(client, request, **options)
        if not options.get("stream") and (
            response.status_code >= 400 or request.url.path == "/metrics"
        ):
            WATCH.look(f"{response.status_code} of {request.url.path}", response.text)
        return response

    httpx.Client.send = watched  # type: ignore[method-assign,assignment]
    try:
        yield
    finally:
        httpx.Client.send = send  # type: ignore[method-assign]
        logging.getLogger().removeHandler(WATCH)
