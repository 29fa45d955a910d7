"""Tasks with a deadline, on the embedded queue: they end whatever they are doing, read or not."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from dependency_injector import providers

from entrypoints.container import Container
from entrypoints.identity import SystemClock
from tests.doubles.upstream import Gate, Script, Upstream, piece, refusal
from tests.end_to_end.openai_client import openai_client
from tests.end_to_end.restarting import Home, Reader, statuses
from tests.official.reading import read
from tests.running import Client, Running, Seen, running_service, settings_for
from tests.waiting import eventually, within

AN_HOUR = "3600000"


@pytest.fixture(scope="module")
def patient(shared_upstream: Upstream) -> Iterator[Running]:
    """Its queue delivers again after an hour."""
    settings = settings_for(openai_base_url=shared_upstream.url, qstash_retry_delay=AN_HOUR)
    with running_service(settings) as running:
        yield running


def assert_overdue(client: Client, task_id: str, text: str) -> Seen:
    """Of a task that has ended: that its deadline has ended it, in time, and it says so
    everywhere."""
    record = client.record(task_id)
    assert (record["status"], record["text"]) == ("failed", text)
    assert record["error"] == {
        "code": "deadline_exceeded",
        "message": "The task did not finish before its deadline.",
        "retryable": True,
    }
    assert 0 <= record["finishedAt"] - record["deadline"] < 1000 * within(2)
    seen = client.events(task_id)
    assert (seen.logged[-1].type, seen.logged[-1].data["code"]) == ("error", "deadline_exceeded")
    assert statuses(seen)[-1] == "failed deadline_exceeded"
    (listed,) = [each for each in _listed(client) if each["taskId"] == task_id]
    assert (listed["deadline"], listed["error"]) == (record["deadline"], record["error"])
    return seen


def _listed(client: Client) -> list[dict[str, object]]:
    tasks: list[dict[str, object]] = client.http.get("/api/tasks").json()["tasks"]
    return tasks


def test_a_running_task_ends_within_a_second_of_its_deadline(
    patient: Running, scripted: Upstream
) -> None:
    scripted.then(Script([piece("Said"), Gate()]))
    started = patient.client.http.post("/api/tasks/start", json={"prompt": "Hi.", "deadline": 2})
    task_id, deadline = started.json()["taskId"], started.json()["deadline"]
    streamed = patient.client.events(task_id)  # to its end
    assert streamed.text == "Said"
    assert scripted.received[0].gone.wait(within(2)), "the model's connection stayed open"
    assert [(e.id, e.data) for e in streamed.logged] == [
        (e.id, e.data) for e in assert_overdue(patient.client, task_id, "Said").logged
    ]
    record = patient.client.record(task_id)
    assert (record["deadline"], record["request"]["deadline"]) == (deadline, 2)
    assert deadline - record["createdAt"] == 2000
    assert record["finishedAt"] - deadline < 1000 * within(1)
    with openai_client(patient.url) as openai:
        response = openai.responses.retrieve(f"resp_{task_id}")
        assert response.status == "failed"
        assert "deadline" in str(response.error)
        assert read(openai, f"resp_{task_id}")[-1]["type"] == "response.failed"


def test_a_task_that_waits_ends_though_nobody_reads_its_record(
    patient: Running, scripted: Upstream
) -> None:
    """Its next delivery is an hour away, and an open stream reads no record: it is the guard that
    ends it."""
    scripted.then(Script([piece("Said")], cut=True))
    task_id = patient.client.start(deadline=2)
    assert patient.client.events(task_id).text == "Said"
    assert "pending connection_lost" in statuses(assert_overdue(patient.client, task_id, "Said"))
    assert len(scripted.received) == 1


def test_a_guard_waits_for_no_task(upstream: Upstream) -> None:
    """The queue inside the service delivers as many tasks as are worked on at once. The rest waits,
    and a guard does not."""
    gate = Gate()
    upstream.then(Script([piece("Said"), gate]))
    settings = settings_for(openai_base_url=upstream.url, max_concurrent_deliveries=1)
    with running_service(settings) as service:
        service.client.start()
        assert gate.reached.wait(within(5))
        waits = service.client.start(deadline=1)
        assert service.client.events(waits).types == ["connected", "status", "status", "error"]
        assert_overdue(service.client, waits, "")
        gate.open()


class SetClock(SystemClock):
    """A clock that is set forward, or back."""

    ahead = 0
    """Milliseconds."""

    def now(self) -> int:
        return super().now() + self.ahead


@pytest.mark.parametrize("back", [0, 3_600_000])
def test_the_deadline_is_a_time_of_day_by_a_clock_that_may_be_set(
    upstream: Upstream, back: int
) -> None:
    """Forward, and back before that."""
    clock = SetClock()
    upstream.then(Script([piece("Said"), Gate()]))
    settings = settings_for(openai_base_url=upstream.url)
    with Container.clock.override(providers.Object(clock)), running_service(settings) as service:
        task_id = service.client.start(deadline=600)
        service.client.events(task_id, until=lambda seen: "content" in seen.types)
        clock.ahead = -back
        assert service.client.record(task_id)["status"] == "running"
        clock.ahead = 600_000
        assert service.client.events(task_id).logged[-1].data["code"] == "deadline_exceeded"
        assert upstream.received[0].gone.wait(within(2)), "the model's connection stayed open"


@pytest.mark.soak
def test_a_delayed_task_ends_at_its_deadline_while_it_runs(
    patient: Running, scripted: Upstream
) -> None:
    scripted.then(Script([piece("Said"), Gate()]))
    task_id = patient.client.start(deadline=3, delay=1)
    assert patient.client.events(task_id).text == "Said"
    assert_overdue(patient.client, task_id, "Said")


@pytest.mark.soak
def test_a_task_that_ends_earlier_stays_as_it_is(patient: Running, scripted: Upstream) -> None:
    task_id = patient.client.start(deadline=1)
    record = patient.client.wait_for(task_id, "completed")
    deleted = patient.client.start(deadline=1)
    patient.client.wait_for(deleted, "completed")
    assert patient.client.http.delete(f"/api/tasks/{deleted}").status_code == 204
    scripted.then(refusal(500))
    waits = patient.client.start(deadline=2)
    eventually(lambda: patient.client.events(waits).logged)  # its guard comes after those of both
    assert_overdue(patient.client, waits, "")
    assert patient.client.record(task_id) == record
    assert patient.client.http.get(f"/api/tasks/{deleted}").status_code == 404


def test_a_retry_of_it_has_as_much_time_again(patient: Running, scripted: Upstream) -> None:
    scripted.then(refusal(500))
    task_id = patient.client.start(deadline=1)
    patient.client.events(task_id)
    retried = patient.client.http.post(f"/api/tasks/{task_id}/retry").json()
    again = patient.client.record(retried["taskId"])
    assert again["deadline"] - again["createdAt"] == 1000
    patient.client.wait_for(retried["taskId"], "completed")


@pytest.mark.soak
@pytest.mark.parametrize("how", ["killed", "stopped", "frozen"])
def test_the_deadline_comes_while_no_process_of_the_service_works(
    tmp_path: Path, upstream: Upstream, how: str
) -> None:
    """Of tasks in the data file: one was running, one waited."""
    upstream.always = Script([piece("Said"), Gate()])
    home = Home(tmp_path, upstream, LONGTASK_QSTASH_RETRY_DELAY=AN_HOUR)
    with home.serving() as process, Client(home.url) as client:
        upstream.then(refusal(500))
        waits = Reader(home.url, client.start("waits", deadline=3))
        client.wait_for(waits.task_id, "pending")
        eventually(lambda: client.record(waits.task_id)["attempt"] == 1)
        runs = Reader(home.url, client.start("runs", deadline=3))
        runs.until_text("Said")
        deadline = client.record(runs.task_id)["deadline"]
        if how == "frozen":
            process.send_signal(signal.SIGSTOP)
            _wait_beyond(deadline)
            process.send_signal(signal.SIGCONT)
            _assert_overdue_late(client, waits, runs)
            return
        process.send_signal(signal.SIGKILL if how == "killed" else signal.SIGTERM)
        process.wait(within(20))
    _wait_beyond(deadline)
    with home.serving(), Client(home.url) as client:
        _assert_overdue_late(client, waits, runs)


def _wait_beyond(deadline: int) -> None:
    eventually(lambda: SystemClock().now() > deadline)


def _assert_overdue_late(client: Client, *readers: Reader) -> None:
    for reader, text in zip(readers, ("", "Said"), strict=True):
        assert reader.whole().logged[-1].data["code"] == "deadline_exceeded"
        record = client.record(reader.task_id)
        assert (record["error"]["code"], record["text"]) == ("deadline_exceeded", text)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"deadline": 0}, "must be from 1 to 604800"),
        ({"deadline": 604_801}, "must be from 1 to 604800"),
        ({"deadline": 1.5}, "must be a whole number"),
        ({"deadline": "1"}, "must be a number"),
        (
            {"deadline": 5, "delay": 5},
            "must be later than the time at which the task may begin",
        ),
    ],
)
def test_a_deadline_that_is_none_is_refused_by_name(
    patient: Running, fields: dict[str, object], message: str
) -> None:
    refused = patient.client.http.post("/api/tasks/start", json={"prompt": "Hi.", **fields})
    assert refused.status_code == 400
    assert refused.json()["errors"] == [{"field": "deadline", "message": message}]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/responses", {"model": "m", "input": "Hi."}),
        ("/v1/chat/completions", {"model": "m", "messages": [{"role": "user", "content": "Hi."}]}),
    ],
)
def test_the_face_of_openai_says_where_deadlines_are(
    patient: Running, path: str, body: dict[str, object]
) -> None:
    refused = patient.client.http.post(path, json={**body, "deadline": 5})
    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == "deadline"
    assert "/api/tasks/start" in refused.json()["error"]["message"]
