"""A client of /api/chat, as tests need it: what it posts, and the chunks that it reads."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from tests.running import Running
from tests.waiting import within

Chunk = dict[str, Any]
USER = {"id": "u1", "role": "user", "parts": [{"type": "text", "text": "Hi."}]}


def asking(chat: str | None, *messages: Any, **fields: Any) -> dict[str, Any]:
    """The body of a POST, as useChat sends it."""
    named = {} if chat is None else {"id": chat}
    return {**named, "messages": list(messages or [USER]), "trigger": "submit-message", **fields}


class Streamed:
    """A response whose chunks are read one by one."""

    def __init__(self, response: httpx.Response) -> None:
        self.status = response.status_code
        self.headers = response.headers
        self.chunks: list[Chunk] = []
        self.done = False
        """Whether the stream has ended as it should."""
        self._lines = response.iter_lines()

    @property
    def task_id(self) -> str:
        return str(self.headers["x-workflow-run-id"])

    @property
    def types(self) -> list[str]:
        return [each["type"] for each in self.chunks]

    @property
    def text(self) -> str:
        return "".join(each["delta"] for each in self.chunks if each["type"] == "text-delta")

    def read(self, until: str | None = None) -> "Streamed":
        """Read up to the first chunk of a type, or to the end."""
        for line in self._lines:
            if line == "data: [DONE]":
                self.done = True
            elif line.startswith("data: "):
                self.chunks.append(json.loads(line.removeprefix("data: ")))
                if self.chunks[-1]["type"] == until:
                    break
        return self


def _address(service: Running | str) -> str:
    return service if isinstance(service, str) else service.url


@contextmanager
def posted(service: Running | str, body: Any, **options: Any) -> Iterator[Streamed]:
    url = f"{_address(service)}/api/chat"
    with httpx.stream("POST", url, json=body, timeout=within(20), **options) as response:
        if response.status_code != 200:
            response.read()
            raise AssertionError(response.text)
        yield Streamed(response)


def send(service: Running | str, body: Any, **options: Any) -> Streamed:
    """Post, and read to the end."""
    with posted(service, body, **options) as streamed:
        return streamed.read()


@contextmanager
def followed(
    service: Running | str, chat: str, query: str = "", **options: Any
) -> Iterator[Streamed]:
    url = f"{_address(service)}/api/chat/{chat}/stream{query}"
    with httpx.stream("GET", url, timeout=within(20), **options) as response:
        yield Streamed(response)


def follow(service: Running | str, chat: str, query: str = "", **options: Any) -> Streamed:
    with followed(service, chat, query, **options) as streamed:
        return streamed.read()
