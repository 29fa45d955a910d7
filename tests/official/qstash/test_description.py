"""The local QStash held to Upstash's own description by schemathesis: generated requests, valid and
not; every answer checked for status, shape and media type. Nothing may be a 500, and nothing may be
answered without the token."""

import json
from contextlib import closing
from pathlib import Path

import pytest

from adapters.qstash import DEVELOPMENT
from tests.generated_requests import answered_as_described
from tests.integration.sdk import Sdk
from tests.official.qstash.description import DESTINATION, GROUP, patched
from tests.processes import found_in, process_of
from tests.waiting import eventually

CONFIG = """
[generation]
allow-extra-parameters = false  # any request may have further headers

[checks.positive_data_acceptance]
# 404: the names are made up. 412, 429: a bound.
expected-statuses = ["2xx", "404", "412", "429"]
"""


@pytest.mark.soak
def test_generated_requests_are_answered_as_described(tmp_path: Path) -> None:
    (tmp_path / "schemathesis.toml").write_text(CONFIG)
    with process_of(tmp_path, "local-qstash", "--port", "0", "--json-logs") as (_, log):
        url = found_in(log)
        (tmp_path / "openapi.json").write_text(json.dumps(patched(_made(url))))
        answered_as_described(
            tmp_path,
            *("openapi.json", "--url", url),
            *("--header", f"Authorization: Bearer {DEVELOPMENT.token}"),
            # Which methods a path has besides those described is not told.
            *("--exclude-checks", "unsupported_method,allow_header_conformance"),
            *("--phases", "examples,coverage,fuzzing", "--max-examples", "15"),
            at_least=2_000,
        )
        assert "Traceback" not in log.read_text()


def _made(url: str) -> dict[str, str]:
    """Make one of each thing. Return how the parameters of paths name it."""
    with closing(Sdk("sync", url)) as sdk:
        for name in (GROUP, "a-group"):  # the second may be deleted
            sdk("url_group.upsert_endpoints", name, [{"url": DESTINATION}])
        sdk("queue.upsert", "a-queue", paused=True)
        sdk("message.enqueue", queue="a-queue", url=DESTINATION)
        sdk("schedule.create", destination=GROUP, cron="0 0 1 1 *", schedule_id="a-schedule")
        flow = {"key": "a-key", "rate": 1, "period": "1h"}
        waiting = sdk("message.publish", url=DESTINATION, delay="1h", flow_control=flow)
        sdk("message.publish", url=DESTINATION, retries=0)
        (letter,) = eventually(lambda: sdk("dlq.list").messages)
    return {
        "urlGroupName": "a-group",
        "queueName": "a-queue",
        "scheduleId": "a-schedule",
        "flowControlKey": "a-key",
        "messageId": waiting.message_id,
        "dlqId": letter.dlq_id,
    }
