"""A queue that does not take a task."""

import pytest

from tests.doubles.upstream import (
    Upstream,
    refusal,
)
from tests.running import running_service, settings_for


@pytest.mark.parametrize(("status", "expected"), [(None, 503), (401, 502), (429, 503)])
def test_a_queue_that_does_not_take_the_task_is_told_to_the_client(
    status: int | None, expected: int, upstream: Upstream
) -> None:
    """The queue is away (its port is closed), refuses our token, or is over its limit."""
    upstream.then(*[refusal(status or 500)] * 2)
    url = upstream.url if status else "http://127.0.0.1:1"
    settings = settings_for(
        qstash_token="token",
        qstash_current_signing_key="sig_1",
        qstash_next_signing_key="sig_2",
        base_url="http://127.0.0.1:9",
        qstash_url=url,
        qstash_timeout=2.0,
    )
    with running_service(settings) as service:
        reply = service.client.http.post("/api/tasks/start", json={"prompt": "Hi."})
        assert reply.status_code == expected
        assert reply.headers["content-type"] == "application/problem+json"
        assert "not started" in reply.json()["error"]
        headers = {"Idempotency-Key": "order-8"}
        keyed = service.client.http.post(
            "/api/tasks/start", json={"prompt": "Hi."}, headers=headers
        )
        assert keyed.status_code == expected
        kind = "start-uncertain" if expected == 503 else "queue-refused"
        assert keyed.json()["type"] == f"urn:longtask:problem:{kind}"
        assert "taskId" not in reply.json()
        if expected == 503:
            assert int(reply.headers["retry-after"]) >= 1
