"""The clock of a service is set forward or back: no task ends early by more than that, none waits
for ever, and its webhook comes."""

from dataclasses import replace

import pytest

from application.send_webhook import GIVING_UP
from domain.events import TaskStatus
from domain.failure import DEADLINE_EXCEEDED
from domain.webhook import WebhookStatus
from tests.builders import REQUEST
from tests.unit.guard_bench import WITH_WEBHOOK, Process, World
from tests.unit.webhook_bench import ORPHAN_TIMEOUT, TASK_ID

A_DAY = 86_400.0
JUMPS = [-30 * A_DAY, -A_DAY, -3_600.0, -60.0, 60.0, 3_600.0, A_DAY, 30 * A_DAY]
"""Seconds. The shortest is longer than the time for which a guard waits at hand."""
DEADLINE = 600


async def drained(world: World, process: Process) -> float:
    """Deliver all that is queued; return when, in seconds that have really gone by, the task had
    ended."""
    ended_at = None
    for _ in range(200):
        if ended_at is None and (await world.task()).status.terminal:
            ended_at = world.elapsed
        if not world.messages:
            assert ended_at is not None, "nothing is left that would end it"
            return ended_at
        await world.deliver(process, min(world.messages, key=lambda each: world.messages[each].due))
    raise AssertionError("guards without an end")


@pytest.mark.parametrize("jump", JUMPS)
async def test_a_deadline_moves_by_no_more_than_the_jump(jump: float) -> None:
    world = World()
    process = Process(world)
    await process.start(replace(WITH_WEBHOOK, deadline=DEADLINE))
    world.lose_tasks()
    world.elapsed, world.jump = 10.0, jump
    ended_at = await drained(world, process)
    assert (await world.task()).failure == DEADLINE_EXCEEDED
    if jump < 0:
        assert DEADLINE - jump <= ended_at <= DEADLINE - jump + 1
    else:
        assert ended_at <= DEADLINE
    assert (await world.task()).webhooks[0].status is WebhookStatus.DELIVERED


@pytest.mark.parametrize("jump", JUMPS)
async def test_a_clock_that_is_set_right_again_changes_nothing(jump: float) -> None:
    """Its guard was early meanwhile, or late."""
    world = World()
    process = Process(world)
    world.jump = jump
    await process.start(replace(REQUEST, deadline=DEADLINE))
    world.lose_tasks()
    guard = f"guard-{TASK_ID}-0"
    assert world.messages[guard].due == DEADLINE, "it counts from the start"
    world.elapsed, world.jump = 10.0, 0.0
    ended_at = await drained(world, process)
    assert ended_at <= max(DEADLINE, DEADLINE + jump) + 1
    assert (await world.task()).failure == DEADLINE_EXCEEDED


@pytest.mark.parametrize("jump", JUMPS)
async def test_a_guard_fails_no_task_as_orphaned_before_its_time(jump: float) -> None:
    world = World()
    process = Process(world)
    await process.start(WITH_WEBHOOK)
    world.lose_tasks()
    world.elapsed, world.jump = 10.0, jump
    ended_at = await drained_of_an_orphan(world, process)
    assert ended_at >= ORPHAN_TIMEOUT, "by the store's clock"
    assert ended_at <= 10 * ORPHAN_TIMEOUT


async def drained_of_an_orphan(world: World, process: Process) -> float:
    ended_at = await drained(world, process)
    task = await world.task()
    assert (task.status, task.failure and task.failure.code) == (TaskStatus.FAILED, "forgotten")
    assert task.webhooks[0].status is WebhookStatus.DELIVERED
    return ended_at


@pytest.mark.parametrize("jump", JUMPS)
async def test_a_delay_stays_as_long_as_it_was(jump: float) -> None:
    """The queue counts it. A task that waits for its time is no orphan meanwhile."""
    world = World()
    process = Process(world)
    await process.start(replace(WITH_WEBHOOK, delay=3_600))
    world.elapsed, world.jump = 10.0, jump
    ended_at = await drained(world, process)
    assert ended_at == 3_600
    assert (await world.task()).status is TaskStatus.COMPLETED


@pytest.mark.parametrize("jump", JUMPS)
async def test_the_72_hours_of_a_receiver_move_by_no_more_than_the_jump(jump: float) -> None:
    world = World()
    process = Process(world)
    world.receiver.answer = 503
    await process.start(WITH_WEBHOOK)
    await world.deliver(process, f"msg-{TASK_ID}-")
    for name in list(world.messages):
        await world.deliver(process, name)  # the first calls
    world.jump = jump
    await world.drain(process, most=200)
    assert (await world.task()).webhooks[0].status is WebhookStatus.FAILED
    assert world.elapsed <= max(GIVING_UP - jump, GIVING_UP / 3) + 1
    if jump > 0:
        assert world.elapsed >= min(GIVING_UP - jump, 5)
