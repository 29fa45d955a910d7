"""What all tasks together use beyond the budget of a day while instances are killed."""

import contextlib
import random
import time
from pathlib import Path

import httpx
import pytest

from domain.tokens import estimate_tokens
from tests.faults.file_world import FileWorld
from tests.faults.planned import Plan, PlannedModel
from tests.faults.redis_world import RedisWorld
from tests.faults.verdict import TERMINAL, used_in
from tests.faults.world import World
from tests.running import Client
from tests.waiting import within

BUDGET = 20_000
PLANS = [Plan(f"b{number}", 4_000, 0.01, ()) for number in range(6)]
"""Half a minute of an answer each, 120,000 tokens in all."""
KILLS = 3
UNCOUNTED = 1.0
"""Seconds whose use is lost with a process that is killed."""
CUT_WITHIN = 2.0
"""Seconds."""


class RedisOnABudget(RedisWorld):
    @property
    def settings(self) -> dict[str, str]:
        return {**super().settings, "LONGTASK_ADDRESS_LIMITS": f"tokens={BUDGET}"}


class FileOnABudget(FileWorld):
    @property
    def settings(self) -> dict[str, str]:
        return {**super().settings, "LONGTASK_ADDRESS_LIMITS": f"tokens={BUDGET}"}


@pytest.mark.soak
@pytest.mark.parametrize("world_of", [RedisOnABudget, FileOnABudget])
def test_what_is_used_beyond_it_is_bounded(tmp_path: Path, world_of: type[World]) -> None:
    rng = random.Random()
    world = world_of(tmp_path, rng, PlannedModel())
    with world.running(), Client(world.front.url) as client:
        tasks = {client.start(plan.prompt()): plan for plan in PLANS}
        for _ in range(KILLS):
            time.sleep(rng.uniform(0.5, 1.5))
            program = rng.choice(world.instances)
            program.kill()
            program.start()
        ends = {task_id: _end_of(client, task_id) for task_id in tasks}
        assert set(ends.values()) == {"failed"}, ends
        logs = {task_id: client.events(task_id) for task_id in tasks}
        used = sum(used_in(plan.prompt(), logs[task_id]) for task_id, plan in tasks.items())
        codes = {log.logged[-1].data["code"] for log in logs.values()}
        refused = client.http.post("/api/tasks/start", json={"prompt": "More."})
        counted = client.http.get("/api/usage").json()["total"]["totalTokens"]
    a_second = sum(estimate_tokens(plan.word(1, 1_000)) / plan.pace for plan in PLANS)
    uncounted = KILLS * UNCOUNTED * a_second
    told = f"used {used}, counted {counted} of {BUDGET}; {a_second:.0f} a second"
    assert "budget_exceeded" in codes, (codes, told)
    assert refused.status_code == 429, refused.text
    assert used - BUDGET <= uncounted + within(CUT_WITHIN) * a_second, told
    assert counted > BUDGET, told
    assert used - counted <= uncounted, told


def _end_of(client: Client, task_id: str) -> str:
    """Its last status, asked for while instances come back."""
    until = time.monotonic() + within(90)
    while time.monotonic() < until:
        with contextlib.suppress(httpx.HTTPError):
            record = client.http.get(f"/api/tasks/{task_id}")
            if record.status_code == 200 and (status := record.json()["status"]) in TERMINAL:
                return str(status)
        time.sleep(0.1)
    return "not ended"
