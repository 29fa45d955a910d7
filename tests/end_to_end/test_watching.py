"""What an operator sees: figures at /metrics, traces, and the ids of traces in the log."""

import json
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.doubles.otlp_collector import Collector
from tests.doubles.upstream import DONE, Gate, Script, Upstream, finish, piece, refusal
from tests.processes import found_in, process_of
from tests.redis_server import LocalRedis
from tests.running import Client, Running, follow, running_service, settings_for
from tests.waiting import eventually, within


def figures(url: str) -> dict[str, float]:
    """Every sample by its name and labels, as they stand in the text."""
    found = {}
    for family in text_string_to_metric_families(httpx.get(f"{url}/metrics").text):
        for sample in family.samples:
            labels = [f"{{{name}={value}}}" for name, value in sorted(sample.labels.items())]
            found[sample.name + "".join(labels)] = sample.value
    return found


def test_one_task_in_figures(service: Running) -> None:
    task = service.client.start()
    service.client.wait_for(task, "completed")
    seen = service.client.events(task)
    service.client.events(task, after=seen.logged[0].id)
    found = figures(service.url)
    assert found["longtask_starts_total"] == 1
    assert found["longtask_attempts_total"] == 1
    assert found["longtask_tasks_total{status=completed}"] == 1
    assert found["longtask_stream_resumes_total"] == 1
    for name in ("queue", "first_token", "append"):
        assert found[f"longtask_{name}_seconds_count"] >= 1, name
        assert 0 < found[f"longtask_{name}_seconds_sum"] < 20, name
    assert found["longtask_tokens_per_second_count"] == 1
    assert found["longtask_open_streams"] == 0
    eventually(lambda: figures(service.url)["longtask_event_loop_lag_seconds_count"] >= 1)
    eventually(lambda: figures(service.url).get("longtask_deliveries_total{status=200}") == 1)


def test_what_went_wrong_in_figures(service: Running, upstream: Upstream) -> None:
    upstream.then(refusal(500), refusal(401))
    service.client.wait_for(service.client.start(), "failed")
    found = figures(service.url)
    assert found["longtask_attempts_total"] == 2
    assert found["longtask_attempts_lost_total{reason=model_error}"] == 1
    assert found["longtask_model_errors_total{code=model_error}"] == 1
    assert found["longtask_model_errors_total{code=invalid_api_key}"] == 1
    assert found["longtask_tasks_total{status=failed}"] == 1


def test_open_streams_and_a_cancelled_task_in_figures(service: Running, upstream: Upstream) -> None:
    gate = Gate()
    upstream.then(Script([piece("a"), gate, finish(), DONE]))
    task = service.client.start()
    thread, seen = follow(service.url, task)
    eventually(lambda: seen.text == "a")
    assert figures(service.url)["longtask_open_streams"] == 1
    assert figures(service.url)["longtask_open_deliveries"] == 1
    service.client.http.post(f"/api/tasks/{task}/cancel")
    thread.join(within(10))
    gate.open()
    found = figures(service.url)
    assert found["longtask_cancels_total"] == 1
    assert found["longtask_tasks_total{status=cancelled}"] == 1
    eventually(lambda: figures(service.url)["longtask_open_deliveries"] == 0)


def test_a_feed_that_loses_its_connection_in_figures(
    upstream: Upstream, own_redis: LocalRedis
) -> None:
    gate = Gate()
    upstream.then(Script([piece("a"), gate, piece("b"), finish(), DONE]))
    settings = settings_for(openai_base_url=upstream.url, redis_url=own_redis.url)
    with running_service(settings) as service:
        task = service.client.start()
        thread, seen = follow(service.url, task)
        eventually(lambda: seen.text == "a")
        before = figures(service.url)
        assert before["longtask_delivery_lag_seconds_count"] >= 2
        assert before["longtask_feed_reconnects_total"] == 0
        own_redis.kill()
        own_redis.start()
        eventually(lambda: figures(service.url)["longtask_missed_events_total"] >= 1)
        assert figures(service.url)["longtask_feed_reconnects_total"] >= 1
        gate.open()
        thread.join(within(20))
        assert seen.text == "ab"


def test_no_figure_names_a_task_or_a_text(service: Running) -> None:
    task = service.client.start("A prompt that nobody may see.")
    service.client.wait_for(task, "completed")
    text = httpx.get(f"{service.url}/metrics").text
    for secret in (task, "prompt that nobody", "Hello, world", "127.0.0.1"):
        assert secret not in text
    labels = set(re.findall(r"[{,](\w+)=", text))
    assert labels <= {"status", "reason", "code", "policy", "model", "kind", "le"}


@pytest.mark.soak
def test_workers_add_their_figures_up(tmp_path: Path, own_redis: LocalRedis) -> None:
    with process_of(
        tmp_path,
        "serve",
        LONGTASK_PORT="0",
        LONGTASK_WORKERS="2",
        REDIS_URL=own_redis.url,
        LONGTASK_LOG_FORMAT="json",
        LONGTASK_DEMO_SPEED="0",
    ) as (process, log):
        url = found_in(log)

        def answers() -> bool:
            try:
                return httpx.get(f"{url}/healthz").status_code == 200
            except httpx.HTTPError:
                return False

        eventually(answers, 30)
        for _ in range(8):  # a connection each, so that both have a share
            with Client(url) as client:
                client.start()
        counts = {figures(url)["longtask_starts_total"] for _ in range(8)}
        assert counts == {8}
        process.terminate()
        process.wait(within(30))


@pytest.fixture
def collector() -> Collector:
    return Collector()


def test_one_trace_from_the_start_to_the_end(
    upstream: Upstream, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OTEL_SERVICE_NAME", raising=False)
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    prompt = "A prompt that nobody may see."
    with collector.running() as endpoint:
        settings = settings_for(
            openai_base_url=upstream.url, openai_api_key="sk-secret", otlp_endpoint=endpoint
        )
        with running_service(settings) as service:
            started = service.client.http.post(
                "/api/tasks/start", json={"prompt": prompt}, headers={"traceparent": parent}
            )
            task = started.json()["taskId"]
            service.client.wait_for(task, "completed")
            eventually(
                lambda: figures(service.url).get("longtask_deliveries_total{status=200}") == 1
            )
        # The service has stopped: all that it had was sent.
        ours = [each for each in collector.spans if each.trace_id.hex() == parent.split("-")[1]]
        collector.spans = ours
        for each in ours:
            if each.parent_span_id.hex() == parent.split("-")[2]:
                each.parent_span_id = b""
        assert collector.tree() == [
            "POST /api/tasks/start",
            "  log create",
            "  queue publish",
            "    POST /api/qstash/webhook",
            "      log claim",
            "      model stream",
            "      log commit",
        ]
        assert collector.resources[0]["service.name"] == "longtask"
        for secret in (prompt, "Hello, world", "sk-secret"):
            assert secret.encode() not in collector.raw


@pytest.mark.soak
def test_ids_of_the_trace_are_in_the_log(tmp_path: Path, collector: Collector) -> None:
    with (
        collector.running() as endpoint,
        process_of(
            tmp_path,
            "serve",
            LONGTASK_PORT="0",
            LONGTASK_LOG_FORMAT="json",
            LONGTASK_DEMO_SPEED="0",
            OTEL_EXPORTER_OTLP_ENDPOINT=endpoint,
        ) as (process, log),
    ):
        with Client(found_in(log)) as client:
            task = client.start()
            client.wait_for(task, "completed")
        process.terminate()
        assert process.wait(within(30)) == 0
        lines = [json.loads(line) for line in log.read_text().splitlines() if line[:1] == "{"]
        queued = next(each for each in lines if each["event"] == "task queued")
        ended = next(each for each in lines if each["event"] == "attempt completed")
        assert re.fullmatch("[0-9a-f]{32}", queued["trace_id"])
        assert queued["trace_id"] == ended["trace_id"]
        assert queued["span_id"] != ended["span_id"]


@pytest.mark.soak
def test_without_an_endpoint_nothing_of_it_is_loaded() -> None:
    script = (
        "import sys; from tests.running import settings_for; "
        "from entrypoints.server import Service; Service(settings_for()); "
        "ours = ('opentelemetry.exporter', 'adapters.opentelemetry'); "
        "print([name for name in sys.modules if name.startswith(ours)])"
    )
    ran = subprocess.run(  # noqa: S603
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        timeout=within(60),
    )
    assert ran.stdout.strip() == "[]"
