"""What a client does with attempts that go on while their process is killed."""

import contextlib
from typing import Any

import httpx

from tests.end_to_end.continuing import Kept, Prefill
from tests.running import Client
from tests.waiting import eventually

ENDED = ("completed", "failed", "cancelled")
NEVER = 10**6
LIVES = [(Kept, "completed"), (Kept, "cancelled"), (Prefill, "completed")]
LEASE, ORPHAN_TIMEOUT = 1.0, 10.0
"""Seconds."""
RETRIES = 20
"""So many that no death uses them up."""
OF_START = 3
"""Steps of a start: test_webhooks_of_the_killed.py and test_ends_of_the_killed.py have them."""


def records(client: Client) -> list[dict[str, Any]]:
    listed = client.http.get("/api/tasks?limit=100").json()["tasks"]
    return [client.record(each["taskId"]) for each in listed]


def begun(client: Client) -> list[dict[str, Any]]:
    """The records without those whose start died before the queue had them."""
    return [
        each for each in records(client) if each["attempt"] or each["error"]["code"] != "forgotten"
    ]


def settled(client: Client, model: Kept | Prefill) -> bool:
    """Whether all tasks have ended, and the model knows. Ends those that would not by
    themselves."""
    seen = records(client)
    if model.endless:
        for each in seen:
            if each["status"] not in ENDED and each["text"]:
                client.http.post(f"/api/tasks/{each['taskId']}/cancel")
    return all(each["status"] in ENDED for each in seen) and not model.faults()


def begin(client: Client, model: Kept | Prefill) -> None:
    """Start a task, and cancel it if its answer is endless. The process may be killed meanwhile."""
    model.begin()
    with contextlib.suppress(httpx.HTTPError):
        started = client.http.post("/api/tasks/start", json={"prompt": "Count."})
        if model.endless and started.status_code == 202:
            task_id = started.json()["taskId"]
            eventually(lambda: "three" in client.record(task_id)["text"], 30)
            client.http.post(f"/api/tasks/{task_id}/cancel")


def over(client: Client, model: Kept | Prefill) -> bool:
    """Whether a process has done all of its tasks, or is dead."""
    try:
        return settled(client, model)
    except httpx.HTTPError:
        return True
