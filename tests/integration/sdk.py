"""Upstash's own Python SDK, sync and async, as the judge of the local QStash."""

import asyncio
import inspect
from operator import attrgetter
from typing import Any

import httpx
from qstash import AsyncQStash, QStash, Receiver

from adapters.qstash import DEVELOPMENT
from tests.doubles.destination import Delivered, Destination
from tests.waiting import eventually


class Sdk:
    """Both clients by one way of calling: `sdk("message.publish", url=...)`."""

    def __init__(self, kind: str, url: str, token: str = DEVELOPMENT.token) -> None:
        self._loop = asyncio.new_event_loop()
        self._client: QStash | AsyncQStash = (
            QStash(token, retry=False, base_url=url)
            if kind == "sync"
            else AsyncQStash(token, retry=False, base_url=url)
        )

    def __call__(self, method: str, /, *args: Any, **arguments: Any) -> Any:
        answer = attrgetter(method)(self._client)(*args, **arguments)
        return self._loop.run_until_complete(answer) if inspect.isawaitable(answer) else answer

    def close(self) -> None:
        client = self._client.http._client
        if isinstance(client, httpx.AsyncClient):
            self._loop.run_until_complete(client.aclose())
        else:
            client.close()
        self._loop.close()


def verified(delivered: Delivered, url: str) -> None:
    Receiver(DEVELOPMENT.current_key, DEVELOPMENT.next_key).verify(
        signature=delivered.headers["upstash-signature"], body=delivered.body.decode(), url=url
    )


def one(destination: Destination, path: str) -> Delivered:
    return eventually(lambda: destination.at(path))[0]
