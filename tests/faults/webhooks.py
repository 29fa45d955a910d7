"""Whether the receiver of webhooks was told of the end of each task that asked for it."""

import json
import time
from typing import Any

from tests.faults.clients import User
from tests.faults.world import World
from tests.running import Client

LONG_PAUSE = 60.0
"""Seconds of a pause between two calls that no round waits for."""


def webhook_faults(
    client: Client, world: World, user: User, record: dict[str, Any] | None, until: float
) -> list[str]:
    """What is wrong with the webhook of a task, whose record this was at its end. Waits for it
    until that time of the monotonic clock."""
    events = world.receiver.told[f"evt_{user.task_id}"]
    faults = [f"told {each}, and {events[0]} before" for each in events if each != events[0]]
    if world.lost_data or record is None or user.deleted or not user.wants_webhook:
        return [] if world.lost_data else faults
    while (told := _webhook_of(client, user.task_id)) and told["status"] == "pending":
        if time.monotonic() > until or _waits(world, user.task_id):
            break
        time.sleep(1.0)
    if told is None:
        return [] if user.task_id in world.deleted else ["its webhook is gone"]
    if events and events[0]["data"]["status"] != record["status"]:
        faults.append(f"told {events[0]}, but it is {record['status']}")
    if told["status"] == "delivered":
        return faults if events else [*faults, "delivered, and the receiver does not know"]
    if told["status"] == "pending" and (world.qstash_forgot or _waits(world, user.task_id)):
        return faults
    return [*faults, f"its receiver got {len(events)} messages, and the record says {told}"]


def _webhook_of(client: Client, task_id: str) -> dict[str, Any] | None:
    answered = client.http.get(f"/api/tasks/{task_id}")
    told: dict[str, Any] | None = answered.json().get("webhook")
    return told


def _waits(world: World, task_id: str) -> bool:
    """Whether its next call is further away than a round lasts, after several faults."""
    for program in world.instances:
        for line in program.log.read_text().splitlines():
            if '"webhook queued again"' in line and task_id in line:
                entry = json.loads(line)
                if entry["pause"] > LONG_PAUSE:
                    return True
    return False
