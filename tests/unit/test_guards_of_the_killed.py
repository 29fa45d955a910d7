"""The life of a guard, from its publish to its last delivery, while the process dies at any step:
each accepted task ends unread and is told of, with one id, and guards come to an end."""

import asyncio
from dataclasses import replace

import pytest

from application.errors import UnknownTask
from domain.webhook import WebhookStatus
from tests.builders import LEASE
from tests.unit.guard_bench import WITH_WEBHOOK, Life, Process, World
from tests.unit.webhook_bench import ORPHAN_TIMEOUT, TASK_ID, Died, Mortal

LIMITED = replace(WITH_WEBHOOK, deadline=60)
GUARD = f"guard-{TASK_ID}-0"


async def _runs(world: World, process: Process) -> None:
    await process.start(WITH_WEBHOOK)
    await world.deliver(process, f"msg-{TASK_ID}-")


async def _is_cancelled(_: World, process: Process) -> None:
    await process.start(LIMITED)
    await process.cancel()


async def _is_overdue(world: World, process: Process) -> None:
    await process.start(LIMITED)
    world.lose_tasks()
    await world.deliver(process, GUARD)


async def _is_orphaned(world: World, process: Process) -> None:
    await process.start(WITH_WEBHOOK)
    world.lose_tasks()
    world.messages[GUARD].due = ORPHAN_TIMEOUT - 1  # too early
    await world.deliver(process, GUARD)
    await world.deliver(process, f"guard-{TASK_ID}-1")


async def _is_exhausted(world: World, process: Process) -> None:
    await process.start(LIMITED)
    world.lose_tasks()
    world.messages[GUARD].is_callback = True
    await world.deliver(process, GUARD)


@pytest.mark.parametrize("life", [_runs, _is_cancelled, _is_overdue, _is_orphaned, _is_exhausted])
async def test_wherever_the_process_dies_the_task_ends_unread_and_is_told_of(life: Life) -> None:
    dies_at, died = 0, True
    while died:
        world, steps = World(), list[str]()
        mortal = (Mortal(each, steps, dies_at) for each in (world.tasks, world))
        died = False
        try:
            await asyncio.create_task(life(world, Process(world, *mortal)))
        except (Died, BaseExceptionGroup):  # a task group says so in its own way
            died = True
            world.elapsed += LEASE
        if not world.accepted:
            world.lose_tasks()  # only the guard knows of it
        await world.drain(Process(world))
        try:
            task = await world.task()
        except UnknownTask:
            assert not world.accepted, f"lost at step {dies_at}"
            assert not world.receiver.messages
        else:
            assert task.status.terminal, f"not ended at step {dies_at}"
            told = {(each.id, each.body) for each in world.receiver.messages}
            assert sorted(each for each, _ in told) == [f"evt_{TASK_ID}", f"evt_{TASK_ID}_service"]
            assert all(each.status is WebhookStatus.DELIVERED for each in task.webhooks)
        dies_at += 1
    assert dies_at >= 12, "not every step was tried"
