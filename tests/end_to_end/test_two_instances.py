"""Two instances in processes of their own over one Redis: any of them serves any request."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.doubles.upstream import DONE, Gate, Script, Upstream, answer, finish, piece
from tests.processes import found_in, process_of, run_to_its_end
from tests.running import (
    Client,
    Seen,
    running_service,
    settings_for,
)
from tests.waiting import eventually, within


@contextmanager
def _instance(folder: Path, redis_url: str, upstream: Upstream) -> Iterator[Client]:
    folder.mkdir()
    settings = {
        "REDIS_URL": redis_url,
        "OPENAI_BASE_URL": upstream.url,
        "LONGTASK_LOG_FORMAT": "json",
    }
    with process_of(folder, "serve", "--port", "0", **settings) as (process, log):
        with Client(found_in(log)) as client:
            yield client
        process.terminate()
        assert process.wait(within(20)) == 0


@pytest.fixture(scope="module")
def instances(
    tmp_path_factory: pytest.TempPathFactory, redis_url: str, shared_upstream: Upstream
) -> Iterator[tuple[Client, Client]]:
    folder = tmp_path_factory.mktemp("instances")
    with (
        _instance(folder / "one", redis_url, shared_upstream) as one,
        _instance(folder / "two", redis_url, shared_upstream) as two,
    ):
        yield one, two


def test_start_on_one_and_follow_on_the_other(
    instances: tuple[Client, Client], scripted: Upstream
) -> None:
    one, two = instances
    gate = Gate()
    scripted.then(Script([piece("One"), gate, piece(" two"), finish(), DONE]))
    task_id = one.start()

    def open_once_a_piece_is_here(seen: Seen) -> bool:
        if seen.types[-1] == "content":
            gate.open()
        return False

    live = two.events(task_id, until=open_once_a_piece_is_here)
    assert live.text == "One two"
    for client in instances:
        late = client.events(task_id)
        assert [(e.id, e.data) for e in late.logged] == [(e.id, e.data) for e in live.logged]
        assert client.events(task_id, after=live.logged[-1].id).status == 204
    cut = two.events(task_id, until=lambda seen: len(seen.logged) == 3)
    rest = one.events(task_id, after=cut.logged[-1].id)
    assert [e.id for e in [*cut.logged, *rest.logged]] == [e.id for e in live.logged]


def test_cancel_on_the_other_closes_the_connection_of_the_one(
    instances: tuple[Client, Client], scripted: Upstream
) -> None:
    one, two = instances
    scripted.then(Script([piece("Kept"), Gate()]))
    task_id = one.start()
    two.events(task_id, until=lambda seen: "content" in seen.types)
    cancelled = two.http.post(f"/api/tasks/{task_id}/cancel")
    assert cancelled.status_code == 202
    assert cancelled.json()["text"] == "Kept"
    assert scripted.received[0].gone.wait(within(5)), "the other instance went on reading"
    assert one.events(task_id).logged[-1].data["finishReason"] == "cancelled"


def test_an_idempotency_key_holds_over_both(instances: tuple[Client, Client]) -> None:
    answers = [
        client.http.post(
            "/api/tasks/start", json={"prompt": "Hi."}, headers={"Idempotency-Key": "two-instances"}
        ).json()
        for client in instances
    ]
    assert answers[0]["taskId"] == answers[1]["taskId"]
    instances[0].wait_for(answers[0]["taskId"], "completed")


@pytest.mark.soak
def test_a_task_outlives_its_instance(tmp_path: Path, redis_url: str, upstream: Upstream) -> None:
    with _instance(tmp_path / "first", redis_url, upstream) as first:
        task_id = first.start()
        before = first.events(task_id)
    with _instance(tmp_path / "second", redis_url, upstream) as second:
        after = second.events(task_id)
        assert [(e.id, e.data) for e in after.logged] == [(e.id, e.data) for e in before.logged]


def test_a_store_that_is_not_there_is_told(upstream: Upstream) -> None:
    with running_service(
        settings_for(redis_url="redis://127.0.0.1:1/0", openai_base_url=upstream.url)
    ) as service:
        http = service.client.http
        refused = http.post("/api/tasks/start", json={"prompt": "Hi."})
        assert refused.status_code == 503
        assert refused.json()["type"] == "urn:longtask:problem:store-unavailable"
        assert http.get("/api/tasks/stream", params={"taskId": "task_1_a"}).status_code == 503
        ready = http.get("/readyz")
        assert ready.status_code == 503
        assert ready.json()["checks"]["store"] == "Redis cannot be reached"
        assert http.get("/healthz").status_code == 200


def test_a_long_answer_through_redis(redis_url: str, upstream: Upstream) -> None:
    words = [f"w{number} " for number in range(3_000)]
    upstream.then(Script(answer(*words)))
    settings = settings_for(redis_url=redis_url, openai_base_url=upstream.url)
    with running_service(settings) as service:
        seen = service.client.events(service.client.start())
        numbers = [int(event.id.rpartition("-")[2]) for event in seen.logged]
        assert numbers == list(range(1, len(numbers) + 1))
        assert seen.text == "".join(words) == seen.logged[-1].data["data"]
        eventually(lambda: "longtask_open_streams 0.0" in service.client.http.get("/metrics").text)


@pytest.mark.soak
def test_several_workers_need_redis(tmp_path: Path) -> None:
    done = run_to_its_end(tmp_path, "serve", "--workers", "2")
    assert done.returncode == 2
    assert "LONGTASK_WORKERS is 2, but without REDIS_URL" in done.stderr
