"""Budgets that cut running tasks, over all instances."""

import time

import httpx
import pytest

from domain.tokens import estimate_tokens
from tests.doubles.upstream import DONE, USAGE, Gate, Script, Upstream, answer, finish, piece
from tests.end_to_end.test_allowed_amounts import ALICE, BOB, emptied_redis, instances
from tests.running import Running, running_service, settings_for
from tests.waiting import eventually, within

__all__ = ["emptied_redis"]

CHINESE = "人人生而自由，在尊严和权利上一律平等。" * 100  # noqa: RUF001
CUT_WITHIN = 2.0


def record(service: Running, task: str, key: str = ALICE) -> dict[str, object]:
    response = service.client.http.get(
        f"/api/tasks/{task}", headers={"Authorization": f"Bearer {key}"}
    )
    assert response.status_code == 200
    found: dict[str, object] = response.json()
    return found


def begin(service: Running, key: str = ALICE) -> str:
    response = service.client.http.post(
        "/api/tasks/start", json={"prompt": "Hi."}, headers={"Authorization": f"Bearer {key}"}
    )
    task: str = response.json()["taskId"]
    return task


@pytest.mark.soak
def test_tasks_of_two_instances_are_cut_once_both_together_are_over(
    upstream: Upstream, emptied_redis: str
) -> None:
    """Each alone is below the limit. The owner of another key goes on."""
    said = estimate_tokens(CHINESE)
    gates = [Gate() for _ in range(3)]
    upstream.then(*(Script([piece("Begin. "), gate, piece(CHINESE), Gate()]) for gate in gates))
    with instances(upstream, emptied_redis, limits=f"tokens={said + said // 2}") as services:
        begun = []
        for service, key, gate in zip(
            [*services, services[0]], (ALICE, ALICE, BOB), gates, strict=True
        ):
            begun.append((service, begin(service, key), key))
            assert gate.reached.wait(within(10))
        gates[2].open()
        gates[0].open()
        eventually(lambda: len(str(record(*begun[0])["text"])) > len(CHINESE))
        assert record(*begun[0])["status"] == "running"
        gates[1].open()
        eventually(lambda: len(str(record(*begun[1])["text"])) > len(CHINESE))
        over = time.monotonic()
        eventually(lambda: [record(*each)["status"] for each in begun[:2]] == ["failed"] * 2)
        assert time.monotonic() - over < within(CUT_WITHIN)
        for each, received in zip(begun[:2], upstream.received, strict=False):
            found = record(*each)
            assert found["error"]["code"] == "budget_exceeded"  # type: ignore[index]
            assert found["text"] == "Begin. " + CHINESE
            assert received.gone.wait(within(5))
        assert record(*begun[2])["status"] == "running"
        refused = services[0].client.http.post("/api/tasks/start", json={"prompt": "Hi."})
        assert refused.status_code == 429
        assert refused.json()["type"] == "urn:longtask:problem:too-many-tokens"
        assert 0 < int(refused.headers["Retry-After"]) <= 86_400


def test_an_owner_is_held_to_limits_of_its_own(upstream: Upstream, emptied_redis: str) -> None:
    said = estimate_tokens(CHINESE)
    gates = [Gate() for _ in range(2)]
    upstream.then(*(Script([piece(CHINESE), gate, *answer("End.")]) for gate in gates))
    of_all, own = f"tokens={said // 2}", "alice:tokens=none"
    with instances(upstream, emptied_redis, 1, limits=of_all, owner_limits=own) as (service,):
        begun = [begin(service, key) for key in (ALICE, BOB)]
        eventually(lambda: record(service, begun[1], BOB)["status"] == "failed")
        assert record(service, begun[0])["status"] == "running"
        for gate in gates:
            gate.open()
        eventually(lambda: record(service, begun[0])["status"] == "completed")
        caller = service.client.http.get("/api/me", headers={"Authorization": f"Bearer {BOB}"})
        assert caller.json()["limits"][0]["limit"] == said // 2
        assert service.client.http.get("/api/me").json()["limits"] == []


def test_a_request_is_cut_by_a_budget_of_its_own(upstream: Upstream) -> None:
    upstream.then(Script([piece("x" * 400), Gate()]), Script([*answer("a"), finish(), USAGE, DONE]))
    with running_service(settings_for(openai_base_url=upstream.url)) as service:
        http = service.client.http
        bounded = {"prompt": "Hi.", "budget": {"tokens": 50}}
        task = http.post("/api/tasks/start", json=bounded).json()["taskId"]
        service.client.wait_for(task, "failed")
        assert service.client.record(task)["error"]["code"] == "budget_exceeded"
        assert service.client.record(task)["text"] == "x" * 400
        assert service.client.record(task)["request"]["budget"] == {"tokens": 50}
        again = http.post(f"/api/tasks/{task}/retry").json()["taskId"]
        service.client.wait_for(again, "completed")


@pytest.mark.parametrize(
    ("budget", "field", "words"),
    [
        ({"tokens": 0}, "budget.tokens", "must be from 1 to 1000000000"),
        ({"tokens": 10**10}, "budget.tokens", "must be from 1 to 1000000000"),
        ({"tokens": 1.5}, "budget.tokens", "must be a whole number"),
        ({"tokens": "9"}, "budget.tokens", "must be a number"),
        ({}, "budget.tokens", "is required"),
        ({"tokens": 9, "cost": 1}, "budget.cost", "unknown field"),
        (9, "budget", "must be an object"),
    ],
)
def test_what_is_wrong_with_a_budget_is_said(
    shared_service: Running, budget: object, field: str, words: str
) -> None:
    response = shared_service.client.http.post(
        "/api/tasks/start", json={"prompt": "Hi.", "budget": budget}
    )
    assert response.status_code == 400
    assert response.json()["errors"] == [{"field": field, "message": words}]


def test_other_faces_say_where_it_is_taken(shared_service: Running) -> None:
    body = {"model": "m", "input": "Hi.", "background": True, "budget": {"tokens": 9}}
    response = httpx.post(f"{shared_service.url}/v1/responses", json=body)
    assert response.status_code == 400
    assert "use /api/tasks/start" in response.text
