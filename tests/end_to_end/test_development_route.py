"""A task run without the queue, by a request to the webhook's address."""

from tests.doubles.upstream import (
    Upstream,
)
from tests.running import Running, running_service, settings_for
from tests.signing import WEBHOOK


def test_the_development_route_runs_a_task_without_the_queue(retrying: Running) -> None:
    query = {"taskId": "test", "prompt": "Hello"}
    reply = retrying.client.http.get(WEBHOOK, params=query)
    assert reply.status_code == 200
    assert retrying.client.record("test")["text"] == "Hello, world."
    assert retrying.client.http.get(WEBHOOK, params={"prompt": "Hi"}).json()["taskId"]
    refused = retrying.client.http.get(WEBHOOK, params={"prompt": "  "})
    assert refused.status_code == 400
    assert refused.json()["errors"][0]["field"] == "prompt"


def test_the_development_route_is_closed_elsewhere(upstream: Upstream) -> None:
    with running_service(settings_for(env="production", openai_base_url=upstream.url)) as service:
        reply = service.client.http.get(WEBHOOK, params={"taskId": "test", "prompt": "Hello"})
        assert reply.status_code == 405
        assert reply.headers["content-type"] == "application/problem+json"
        assert service.client.http.get("/api/tasks/test").status_code == 404
