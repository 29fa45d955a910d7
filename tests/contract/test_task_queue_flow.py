"""Which messages the queue holds back, and by what: flow control, by the QStash adapter."""

import contextlib
from dataclasses import replace

import pytest
from qstash import AsyncQStash
from qstash.message import FlowControlProperties

from adapters.qstash import DEVELOPMENT, QStashQueue
from adapters.qstash.flow import owner_key
from adapters.qstash.sdk_internals import http_client_of
from application.ports import Announcement, Guard
from domain.flow_control import NO_SHARES, FlowControl, Share, Shares
from domain.task import Task
from tests.builders import REQUEST
from tests.running import running_local_qstash

SHARES = Shares(Share(parallelism=4), {"team-a": Share(parallelism=20, rate=60, period=3600)})
TEAM_A, TEAM_B, ALL = map(owner_key, ("team-a", "team-b", None))
ASKED = FlowControl(key="reports.daily", rate=2, period=90)


@pytest.mark.parametrize(
    ("owner", "asked", "shares", "expected"),
    [
        ("team-a", None, SHARES, FlowControlProperties(TEAM_A, 20, 60, 3600)),
        ("team-b", None, SHARES, FlowControlProperties(TEAM_B, 4, None, 1)),
        (None, None, SHARES, FlowControlProperties(ALL, 4, None, 1)),
        ("team-a", ASKED, SHARES, FlowControlProperties(f"{TEAM_A}.reports.daily", None, 2, 90)),
        ("team-a", ASKED, NO_SHARES, FlowControlProperties(f"{TEAM_A}.reports.daily", None, 2, 90)),
        ("team-a", None, NO_SHARES, None),
        ("team-b", None, Shares(named={"team-a": Share(rate=1)}), None),
    ],
)
async def test_a_task_is_held_back_by_its_own_key_or_by_that_of_its_owner(
    owner: str | None,
    asked: FlowControl | None,
    shares: Shares,
    expected: FlowControlProperties | None,
) -> None:
    request = replace(REQUEST, flow_control=asked)
    task = Task.submit("task_1_a", request, 1, owner).task
    guard = Guard(task.id)
    announcement = Announcement(task.id, 0, "http://h.example", False, owner, 1, {"id": "e"})
    with running_local_qstash() as url:
        client = AsyncQStash(DEVELOPMENT.token, base_url=url)
        queue = _queue(url, shares)
        async with contextlib.aclosing(queue), http_client_of(client):
            sent = await client.message.get(await queue.enqueue(task, request))
            assert _shown(sent.flow_control) == expected
            for message_id in (
                await queue.enqueue_guard(guard, 3600),
                await queue.enqueue_announcement(announcement, 3600),
            ):
                assert (await client.message.get(message_id)).flow_control is None


def test_the_keys_of_owners_differ_and_do_not_name_them() -> None:
    assert len({owner_key(owner) for owner in (None, "all", "ALL", "team-a")}) == 4
    assert all(key.isalnum() and len(key) == 16 for key in (ALL, TEAM_A))


def _shown(flow: FlowControlProperties | None) -> FlowControlProperties | None:
    """QStash shows a period of 1 without a rate."""
    return flow if flow is None or flow.rate is not None else replace(flow, period=1)


def _queue(url: str, shares: Shares) -> QStashQueue:
    return QStashQueue(
        token=DEVELOPMENT.token,
        url=url,
        webhook_url="http://127.0.0.1:1/webhook",
        failure_url="http://127.0.0.1:1/failure",
        retries=3,
        retry_delay="3600000",
        timeout=5.0,
        delivery_timeout=None,
        shares=shares,
    )
