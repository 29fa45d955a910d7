"""The queue inside the service: only the service has the keys that sign its deliveries."""

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from adapters.qstash.credentials import DEVELOPMENT_USERS
from entrypoints.api_keys import new_key
from tests.leaks import PLANTED
from tests.processes import found_in, process_of
from tests.redis_server import LocalRedis
from tests.running import Client, Running, running_service, settings_for
from tests.signing import WEBHOOK, deliver, message, sign
from tests.waiting import within

KEY, ENTRY = new_key("alice")
PUBLIC_KEYS = [
    "sig_7RvLjqfZBvP5KEUimQCE1pvpLuou",  # obsolete, and what this repository had
    "sig_7W3ZNbfKWk5NWwEs3U4ixuQ7fxwE",
    *(key for user in DEVELOPMENT_USERS.values() for key in (user.current_key, user.next_key)),
]


@pytest.fixture(scope="module")
def service() -> Iterator[Running]:
    """As docs/operations.md's "Who may use it" leads to: API keys, and no QSTASH_TOKEN."""
    secret = "a secret of forty characters, or even more"
    with running_service(settings_for(api_keys=ENTRY, stream_secret=secret)) as running:
        running.client.http.headers["Authorization"] = f"Bearer {KEY}"
        yield running


def _deliver(service: Running, task_id: str, key: str) -> httpx.Response:
    body = message(task_id, owner="alice")
    return deliver(service.client.http, body, sign(service.url + WEBHOOK, body, key))


@pytest.mark.parametrize("key", PUBLIC_KEYS)
def test_no_public_key_signs_a_delivery(service: Running, key: str) -> None:
    answer = _deliver(service, "task_1_forged", key)
    assert answer.status_code == 401
    assert service.client.http.get("/api/tasks/task_1_forged").status_code == 404


def test_no_public_token_publishes_or_asks_for_the_keys(service: Running) -> None:
    queue = service.service.container.qstash_url()
    for user in DEVELOPMENT_USERS.values():
        headers = {"Authorization": f"Bearer {user.token}"}
        assert httpx.get(f"{queue}/v2/keys", headers=headers).status_code == 401
        url = f"{queue}/v2/publish/{service.url}/api/qstash/webhook"
        assert httpx.post(url, content="{}", headers=headers).status_code == 401


def test_its_own_key_does_and_tasks_run(service: Running) -> None:
    assert _deliver(service, "task_1_signed", service.queue.current_key).status_code == 200
    assert service.client.wait_for(service.client.start(), "completed")


def test_another_start_has_other_keys(service: Running) -> None:
    with running_service(settings_for()) as another:
        assert another.queue.token != service.queue.token
        assert another.queue.current_key != service.queue.current_key
        assert _deliver(another, "task_1_other", service.queue.current_key).status_code == 401


@pytest.mark.soak
def test_workers_share_them_and_show_them_nowhere(tmp_path: Path, own_redis: LocalRedis) -> None:
    settings = {
        "REDIS_URL": own_redis.url,
        "LONGTASK_WORKERS": "2",
        "LONGTASK_DEMO_SPEED": "0",
        "LONGTASK_LOG_LEVEL": "DEBUG",
        "LONGTASK_LOG_FORMAT": "json",
    }
    with process_of(tmp_path, "serve", "--port", "0", **settings) as (process, log):
        with Client(found_in(log)) as client:
            for _ in range(6):  # whichever worker takes the start and whichever the delivery
                client.wait_for(client.start(), "completed")
        family = _family(process.pid)
        assert len(family) >= 3
        for pid in family:
            for file in ("cmdline", "environ"):
                shown = Path(f"/proc/{pid}/{file}").read_bytes().decode(errors="replace")
                assert PLANTED.search(shown.replace("\0", "\n")) is None, (pid, file)
        process.send_signal(signal.SIGTERM)
        assert process.wait(within(30)) == 0
    assert PLANTED.search(log.read_text()) is None


def _family(pid: int) -> list[int]:
    """A process and all beneath it."""
    children = [
        int(entry)
        for entry in os.listdir("/proc")
        if entry.isdigit() and _parent(int(entry)) == pid
    ]
    return [pid, *(each for child in children for each in _family(child))]


def _parent(pid: int) -> int:
    try:
        found = re.search(r"^PPid:\s+(\d+)$", Path(f"/proc/{pid}/status").read_text(), re.M)
    except OSError:
        return 0  # ended in the meantime
    return int(found[1]) if found else 0


def test_the_watch_knows_what_they_look_like(service: Running) -> None:
    """Else the test above, and the watch over all logs, could not fail."""
    for secret in (service.queue.token, service.queue.current_key, service.queue.next_key):
        assert PLANTED.search(f"a line with {secret} in it")
