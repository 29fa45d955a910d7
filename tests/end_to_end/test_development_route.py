"""A task run without the queue, by a request to the webhook's address."""

from tests.doubles.upstream import Script, Upstream, answer
from tests.end_to_end.guarded import alices
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


def test_the_development_route_needs_a_key_where_there_are_keys(upstream: Upstream) -> None:
    upstream.then(Script(answer("Mine.")))
    with alices(upstream, env="development") as running:
        http, query = running.client.http, {"prompt": "Hi."}
        refused = http.get(WEBHOOK, params=query, headers={"Authorization": ""})
        assert refused.status_code == 401
        assert not upstream.received
        done = http.get(WEBHOOK, params=query)
        assert done.status_code == 200
        task_id = done.json()["taskId"]
        assert http.get(f"/api/tasks/{task_id}").json()["text"] == "Mine."
