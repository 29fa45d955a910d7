"""A real service whose file is backed up under a running task, restored, and moved to Redis: its
clients go on with the event ids and the idempotency key that they have."""

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.doubles.upstream import DONE, Gate, Script, Upstream, finish, piece
from tests.processes import found_in, process_of, run_to_its_end
from tests.redis_server import LocalRedis
from tests.running import Client
from tests.waiting import within

HEADERS = {"Idempotency-Key": "once"}
BODY = {"prompt": "How deep is the sea?"}
DATA = {"LONGTASK_DATA": "kept"}


@contextmanager
def serving(folder: Path, **settings: str) -> Iterator[Client]:
    """A service, which is stopped in order."""
    with process_of(folder, "serve", "--port", "0", LONGTASK_LOG_FORMAT="json", **settings) as (
        process,
        log,
    ):
        with Client(found_in(log)) as client:
            yield client
        process.terminate()
        assert process.wait(within(20)) == 0


def start(client: Client) -> str:
    response = client.http.post("/api/tasks/start", json=BODY, headers=HEADERS)
    assert response.status_code == 202, response.text
    task_id: str = response.json()["taskId"]
    return task_id


@pytest.mark.soak  # four services, one after the other
def test_clients_go_on_after_a_restore_and_after_a_move(
    tmp_path: Path, upstream: Upstream, own_redis: LocalRedis
) -> None:
    model = {"OPENAI_BASE_URL": upstream.url, "OPENAI_API_KEY": "sk-planted-secret"}
    gate = Gate()
    upstream.then(Script([piece("One"), piece(" two"), finish(), DONE]))
    upstream.then(Script([piece("Three"), gate, piece(" four"), finish(), DONE]))
    upstream.then(Script([piece("Five"), finish(), DONE]))
    with serving(tmp_path, **DATA, **model) as client:
        task_id = start(client)
        whole = client.events(task_id)
        running = client.start("Another one.")
        client.events(running, until=lambda seen: "content" in seen.types)
        held = run_to_its_end(tmp_path, "migrate", "--to", own_redis.url, **DATA)
        assert (held.returncode, "in use by process" in held.stderr) == (1, True)
        backup = run_to_its_end(tmp_path, "backup", "copy.db", **DATA)
        assert backup.stdout.endswith(" bytes, 2 tasks\n"), backup.stderr
        assert stat.S_IMODE((tmp_path / "copy.db").stat().st_mode) == 0o600
        unfinished = run_to_its_end(
            tmp_path, "migrate", "--to", own_redis.url, LONGTASK_DATA="copy.db"
        )
        assert (unfinished.returncode, "1 task has not ended" in unfinished.stderr) == (1, True)
        gate.open()
        assert client.events(running).types[-1] == "end"

    def assert_goes_on(client: Client) -> None:
        assert start(client) == task_id
        again = client.events(task_id)
        assert [(e.id, e.data) for e in again.logged] == [(e.id, e.data) for e in whole.logged]
        rest = client.events(task_id, after=whole.logged[2].id)
        assert [e.id for e in rest.logged] == [e.id for e in whole.logged[3:]]

    with serving(tmp_path, **model, LONGTASK_DATA="copy.db") as client:
        assert_goes_on(client)
        seen = client.events(running)  # it was running when it was copied, and is run again
        record = client.record(running)
        assert record["text"] == "Five"

    moved = run_to_its_end(tmp_path, "migrate", "--to", own_redis.url, LONGTASK_DATA="copy.db")
    assert moved.stdout.startswith("2 tasks copied\n1 idempotency key or chat copied\n")
    with serving(tmp_path, **model, REDIS_URL=own_redis.url) as client:
        assert_goes_on(client)
        assert client.record(running) == record
        late = client.events(running)
        assert [(e.id, e.data) for e in late.logged] == [(e.id, e.data) for e in seen.logged]
