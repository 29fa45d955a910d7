"""One owner has far more tasks than its share: the tasks of others begin all the same."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from adapters.qstash import DEVELOPMENT
from application import owner_shares
from tests.doubles.upstream import DONE, Gate, Received, Script, Upstream, answer, finish, piece
from tests.end_to_end.guarded import ALICE, BOB, as_bearer, guarded
from tests.redis_server import LocalRedis, free_port
from tests.running import Client, running_local_qstash, running_service
from tests.tcp_proxy import TcpProxy
from tests.waiting import eventually

SHARE = 3
HELD = "hold"


class HeldModel(Upstream):
    """Holds each answer to HELD until the test lets it go."""

    def __init__(self) -> None:
        super().__init__()
        self.held: list[Gate] = []
        self.let_go = 0

    @property
    def running_now(self) -> int:
        return len(self.held) - self.let_go

    def script_for(self, received: Received) -> Script:
        if received.body["messages"][-1]["content"] != HELD:
            return Script(answer("Done."))
        gate = Gate()
        self.held.append(gate)
        if self.let_go > len(self.held):
            gate.open()
        return Script([piece("Held"), gate, finish(), DONE])

    def let_one_go(self) -> None:
        self.held[self.let_go].open()
        self.let_go += 1

    def let_all_go(self) -> None:
        self.let_go = 1_000_000
        for each in self.held:
            each.open()


@dataclass
class Deployment:
    model: HeldModel
    clients: list[Client]
    """One for each instance."""

    def start(self, key: str, number: int = 0, prompt: str = HELD, **fields: Any) -> str:
        client = self.clients[number % len(self.clients)]
        body = {"prompt": prompt, **fields}
        response = client.http.post("/api/tasks/start", json=body, headers=as_bearer(key))
        assert response.status_code == 202, response.text
        return str(response.json()["taskId"])

    def record(self, key: str, task_id: str) -> dict[str, Any]:
        response = self.clients[0].http.get(f"/api/tasks/{task_id}", headers=as_bearer(key))
        record: dict[str, Any] = response.json()
        return record

    def completed(self, key: str, task_id: str) -> bool:
        return bool(self.record(key, task_id)["status"] == "completed")


@pytest.fixture
def model() -> Iterator[HeldModel]:
    model = HeldModel()
    with model.running():
        yield model
        model.let_all_go()


@contextmanager
def _embedded(model: HeldModel, tmp_path: Path, redis: LocalRedis) -> Iterator[list[Client]]:
    """The embedded default: everything in one file."""
    settings = guarded(model, shares=f"*:parallelism={SHARE}", data=str(tmp_path))
    with running_service(settings) as service:
        yield [service.client]


@contextmanager
def _one_queue(model: HeldModel, tmp_path: Path, redis: LocalRedis) -> Iterator[list[Client]]:
    """Two instances on one Redis and one QStash."""
    ports = free_port(), free_port()
    with ExitStack() as stack:
        balancer = stack.enter_context(TcpProxy(*ports).running())
        settings = {
            "shares": f"*:parallelism={SHARE}",
            "redis_url": redis.url,
            "qstash_url": stack.enter_context(running_local_qstash()),
            "qstash_token": DEVELOPMENT.token,
            "allow_development_keys": True,
            "base_url": balancer.url,
        }
        yield [
            stack.enter_context(running_service(guarded(model, port=port, **settings))).client
            for port in ports
        ]


@contextmanager
def _two_queues(model: HeldModel, tmp_path: Path, redis: LocalRedis) -> Iterator[list[Client]]:
    """Two instances on one Redis, each with a queue inside."""
    settings = guarded(model, shares=f"*:parallelism={SHARE}", redis_url=redis.url)
    with running_service(settings) as one, running_service(settings) as two:
        yield [one.client, two.client]


@pytest.fixture(params=[_embedded, pytest.param(_one_queue, marks=pytest.mark.soak), _two_queues])
def deployment(
    request: pytest.FixtureRequest, model: HeldModel, tmp_path: Path, own_redis: LocalRedis
) -> Iterator[Deployment]:
    with request.param(model, tmp_path, own_redis) as clients:
        yield Deployment(model, clients)
        model.let_all_go()


@pytest.mark.parametrize("amount", [20, pytest.param(1_000, marks=pytest.mark.soak)])
def test_another_owner_does_not_wait_for_all_of_them(deployment: Deployment, amount: int) -> None:
    model = deployment.model
    many = [deployment.start(ALICE, number) for number in range(amount)]
    eventually(lambda: model.running_now == SHARE)
    one = deployment.start(BOB, prompt="Hello.")
    eventually(partial(deployment.completed, BOB, one))
    for _ in range(10):
        model.let_one_go()
        eventually(lambda: model.running_now == SHARE)
    assert len(model.held) == SHARE + 10, "never more than the share, and no place stays empty"
    assert sum(deployment.completed(ALICE, each) for each in many) <= 10


@pytest.mark.soak
def test_keys_of_their_own_do_not_widen_the_share(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of the tasks name keys: each of them would hold back no other."""
    monkeypatch.setattr(owner_shares, "SOONEST", 1.0)
    monkeypatch.setattr(owner_shares, "AGE_SHARE", 0.0)
    model, many = deployment.model, []
    for number in range(10):
        flow: dict[str, Any] = {}
        if number % 2:
            flow = {"flowControl": {"key": f"k{number}", "parallelism": 1}}
        many.append(deployment.start(ALICE, number // 2, **flow))
    for _ in many:
        eventually(lambda: model.running_now == min(SHARE, len(many) - model.let_go), 30)
        model.let_one_go()
    for each in many:
        eventually(partial(deployment.completed, ALICE, each))
    assert len(model.held) == len(many), "none began twice"


@pytest.mark.parametrize("deployment", [_embedded], indirect=True)
def test_tasks_with_one_key_run_as_it_says(deployment: Deployment) -> None:
    flow = {"key": "reports", "parallelism": 1}
    many = [deployment.start(ALICE, flowControl=flow) for _ in range(4)]
    others = [deployment.start(BOB, flowControl=flow) for _ in range(2)]
    model = deployment.model
    eventually(lambda: model.running_now == 2)
    record = (
        deployment.clients[0].http.get(f"/api/tasks/{many[0]}", headers=as_bearer(ALICE)).json()
    )
    assert record["request"]["flowControl"] == {**flow, "rate": None, "period": None}
    model.let_all_go()
    for key, each in [(ALICE, each) for each in many] + [(BOB, each) for each in others]:
        eventually(partial(deployment.completed, key, each))


@pytest.mark.parametrize("deployment", [_embedded], indirect=True)
def test_the_share_holds_for_what_runs_without_the_queue(deployment: Deployment) -> None:
    for _ in range(SHARE):
        deployment.start(ALICE)
    eventually(lambda: deployment.model.running_now == SHARE)
    query = {"prompt": "Hello.", "taskId": "task_1_direct"}

    def run(key: str) -> httpx.Response:
        return deployment.clients[0].http.get(
            "/api/qstash/webhook", params=query, headers=as_bearer(key)
        )

    refused = run(ALICE)
    assert (refused.status_code, refused.json()["type"]) == (429, "urn:longtask:problem:over-share")
    assert float(refused.headers["retry-after"]) >= 5
    assert deployment.record(ALICE, "task_1_direct")["error"]["code"] == "interrupted"
    query["taskId"] = "task_1_other"
    assert run(BOB).status_code == 200
