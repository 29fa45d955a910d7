"""A service that wants API keys, and callers of it: Alice, who has two, and Bob. And a service that
others can reach without keys."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from entrypoints.api_keys import new_key
from entrypoints.settings import Settings
from tests.doubles.upstream import Upstream
from tests.running import Running, running_service, settings_for

ALICE, ALICES_ENTRY = new_key("alice")
ALICE_NEW, ALICES_NEW_ENTRY = new_key("alice")
BOB, BOBS_ENTRY = new_key("bob")
SECRET = "a secret of forty characters, or even more"
UNKNOWN = "task_1_unknown"


def guarded(upstream: Upstream, **overrides: Any) -> Settings:
    return settings_for(
        openai_base_url=upstream.url,
        api_keys=f"{ALICES_ENTRY},{ALICES_NEW_ENTRY} {BOBS_ENTRY}",
        stream_secret=SECRET,
        **overrides,
    )


@contextmanager
def alices(upstream: Upstream, **overrides: Any) -> Iterator[Running]:
    """A guarded service whose client has a key of Alice's."""
    with running_service(guarded(upstream, **overrides)) as running:
        running.client.http.headers["Authorization"] = f"Bearer {ALICE}"
        yield running


def exposed(upstream: Upstream, *, trusted: bool) -> Settings:
    """Those of a service without API keys that other machines can reach. `trusted`: whether all
    callers are."""
    return settings_for(
        openai_base_url=upstream.url,
        host="0.0.0.0",  # noqa: S104
        allow_anonymous=True,
        trust_all_callers=trusted,
    )


def as_bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


CALLS = {
    "start": ("POST", "/api/tasks/start"),
    "me": ("GET", "/api/me"),
    "usage": ("GET", "/api/usage"),
    "list": ("GET", "/api/tasks"),
    "watch": ("GET", "/api/tasks/events"),
    "status": ("GET", "/api/tasks/start?taskId={task}"),
    "record": ("GET", "/api/tasks/{task}"),
    "stream": ("GET", "/api/tasks/stream?taskId={task}"),
    "stream by its path": ("GET", "/api/tasks/{task}/stream"),
    "cancel": ("POST", "/api/tasks/{task}/cancel"),
    "result": ("GET", "/api/tasks/{task}/result"),
    "retry": ("POST", "/api/tasks/{task}/retry"),
    "delete": ("DELETE", "/api/tasks/{task}"),
    "run without the queue": ("GET", "/api/qstash/webhook?prompt=Hi"),
}


def call(service: Running, name: str, task: str, headers: dict[str, str]) -> httpx.Response:
    method, path = CALLS[name]
    body = {"prompt": "Hi."} if name == "start" else None
    return httpx.request(
        method, service.url + path.format(task=task), json=body, headers=headers, timeout=20
    )
