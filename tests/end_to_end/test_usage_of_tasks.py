"""What tasks use, from their attempts to the report of another instance, over one Redis."""

import secrets
from typing import Any

from entrypoints.api_keys import new_key
from tests.doubles.upstream import Script, Upstream, answer, piece
from tests.running import running_service, settings_for
from tests.waiting import eventually

OWNER = f"team-{secrets.token_hex(4)}"  # of this test alone, in a store that other tests use
KEY, ENTRY = new_key(OWNER)


def test_all_that_attempts_used_is_told_and_outlives_the_tasks(redis_url: str) -> None:
    with Upstream().running() as upstream:
        settings = settings_for(
            redis_url=redis_url,
            openai_base_url=upstream.url,
            api_keys=ENTRY,
            stream_secret="x" * 40,
            prices='{"test-model": {"input": 1, "output": 1000}}',
            qstash_retry_delay="50",
        )
        with running_service(settings) as one, running_service(settings) as two:
            for service in (one, two):
                service.client.http.headers["Authorization"] = f"Bearer {KEY}"

            def report(by: str) -> dict[str, Any]:
                response = two.client.http.get(f"/api/usage?by={by}")
                assert response.status_code == 200, response.text
                body: dict[str, Any] = response.json()
                return body

            whole = one.client.start("Hi.")
            one.client.wait_for(whole, "completed")
            eventually(lambda: report("model")["total"]["tasks"] == 1)
            (row,) = report("model,owner")["rows"]
            assert row == {
                "model": "test-model",
                "owner": OWNER,
                "tasks": 1,
                "inputTokens": 3,
                "cachedTokens": 0,
                "outputTokens": 5,
                "reasoningTokens": 0,
                "totalTokens": 8,
                "cost": 0.005003,
            }
            upstream.then(Script([piece("lost " * 40)], cut=True), Script(answer("Whole.")))
            resumed = two.client.start("Hi.")
            two.client.wait_for(resumed, "completed")
            for task in (whole, resumed):
                assert one.client.http.delete(f"/api/tasks/{task}").status_code == 204
            eventually(lambda: report("model")["total"]["tasks"] == 2)
            total = report("day")["total"]
            assert total["totalTokens"] > 2 * 8 + 20, "the lost attempt counts too"
            assert one.client.http.get("/api/usage?by=day").json()["total"] == total
