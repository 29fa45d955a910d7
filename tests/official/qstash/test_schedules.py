"""Schedules, by every call of the SDK. What the clock does to them: tests/unit."""

import json
import time
from datetime import UTC, datetime

import pytest
from qstash.errors import QStashError
from qstash.schedule import ScheduleState

from tests.doubles.destination import Destination
from tests.integration.sdk import Sdk, one, verified
from tests.waiting import eventually, within

YEARLY = "CRON_TZ=Europe/Berlin 30 2 1 1 *"


def test_a_schedule_from_its_creation_to_its_end(sdk: Sdk, destination: Destination) -> None:
    url, began = f"{destination.url}/daily?a=1&b=%2F", time.time() * 1000
    options = {
        "method": "PUT",
        "headers": {"X": "y", "Secret": "s"},
        "retries": 2,
        "retry_delay": "1000 * retried",
        "callback": f"{destination.url}/callback",
        "callback_headers": {"Retries": "1"},
        "failure_callback": f"{destination.url}/callback/failure",
        "failure_callback_headers": {"Retries": "0"},
        "delay": "2m",
        "timeout": "30s",
        "flow_control": {"key": "daily", "parallelism": 2, "rate": 3, "period": "1m"},
        "label": "a-label",
        "redact": {"header": ["Secret"]},
        "schedule_id": "of-my.own_1",
    }
    made = sdk("schedule.create_json", destination=url, cron=YEARLY, body={"n": 1}, **options)
    assert made == "of-my.own_1"
    shown = sdk("schedule.get", made)
    assert (shown.schedule_id, shown.destination, shown.cron) == (made, url, YEARLY)
    assert (shown.body, shown.method, shown.paused) == ('{"n": 1}', "PUT", False)
    assert began - 1 <= shown.created_at <= time.time() * 1000 + 1
    assert (shown.retries, shown.retry_delay_expression) == (2, "1000 * retried")
    assert (shown.callback, shown.failure_callback) == (
        options["callback"],
        options["failure_callback"],
    )
    assert (shown.delay, shown.timeout, shown.label) == (120, 30, "a-label")
    assert shown.headers["X"] == ["y"]
    assert shown.headers["Content-Type"] == ["application/json"]
    assert shown.headers["Secret"][0].startswith("REDACTED:")
    assert shown.caller_ip == "127.0.0.1"
    assert (shown.flow_control.key, shown.flow_control.parallelism) == ("daily", 2)
    assert (shown.flow_control.rate, shown.flow_control.period) == (3, 60)
    following = datetime.fromtimestamp(shown.next_schedule_time / 1000, UTC)
    assert (following.month, following.day, following.hour, following.minute) == (1, 1, 1, 30)
    assert shown.last_schedule_time in (None, 0)

    # The same id again changes it, and another one is another.
    sdk("schedule.create", destination=url, cron="0 0 1 * *", schedule_id=made, queue="of-daily")
    changed = sdk("schedule.get", made)
    assert (changed.cron, changed.queue, changed.label) == ("0 0 1 * *", "of-daily", None)
    assert changed.created_at >= shown.created_at
    other = sdk("schedule.create", destination=url, cron="* * 1 1 *", body=b"\xff")
    assert sdk("schedule.get", other).body_base64 == "/w=="
    assert sdk("schedule.get", other).retries == 3
    assert {each.schedule_id for each in sdk("schedule.list")} >= {made, other}

    for _ in range(2):
        sdk("schedule.pause", made)
        assert sdk("schedule.get", made).paused
    assert not sdk("schedule.get", other).paused
    for _ in range(2):
        sdk("schedule.resume", made)
        assert not sdk("schedule.get", made).paused
    sdk("schedule.delete", made)
    with pytest.raises(QStashError, match="404"):
        sdk("schedule.get", made)
    sdk("schedule.delete", other)
    assert not {each.schedule_id for each in sdk("schedule.list")} & {made, other}


@pytest.mark.soak
def test_a_schedule_publishes_at_its_minute(sdk: Sdk, destination: Destination) -> None:
    """Waits for the next minute."""
    url = destination.url
    endpoints = [{"url": f"{url}/one", "name": "first"}, {"url": f"{url}/two"}]
    sdk("url_group.upsert_endpoints", "of-schedules", endpoints)
    options = {"headers": {"X": "y"}, "label": "each", "retries": 0}
    callback = {"callback": f"{url}/callback"}
    plain = sdk(
        "schedule.create",
        destination=f"{url}/plain?a=1",
        cron="* * * * *",
        body="each minute",
        method="PUT",
        **options,
        **callback,
    )
    grouped = sdk("schedule.create", destination="of-schedules", cron="* * * * *", queue="grouped")
    paused = sdk("schedule.create", destination=f"{url}/paused", cron="* * * * *")
    sdk("schedule.pause", paused)
    late = sdk("schedule.create", destination=f"{url}/late", cron="* * * * *", delay=3600)
    due = sdk("schedule.get", plain).next_schedule_time
    assert due % 60_000 == 0

    eventually(lambda: destination.at("/plain?a=1"), timeout=75)
    assert due <= time.time() * 1000 < due + within(30) * 1000
    delivered = one(destination, "/plain?a=1")
    assert (delivered.method, delivered.body, delivered.headers["x"]) == (
        "PUT",
        b"each minute",
        "y",
    )
    assert delivered.headers["upstash-schedule-id"] == plain
    verified(delivered, f"{url}/plain?a=1")
    message_id = delivered.headers["upstash-message-id"]
    assert json.loads(one(destination, "/callback").body)["scheduleId"] == plain
    message = sdk("message.get", message_id)
    assert (message.schedule_id, message.label) == (plain, "each")
    logs = sdk("log.list", filter={"schedule_id": plain, "label": "each"}).logs
    assert message_id in {each.message_id for each in logs}
    one(destination, "/one")
    one(destination, "/two")
    assert destination.at("/one")[0].headers["upstash-schedule-id"] == grouped

    def states() -> dict[str, ScheduleState]:
        return dict(sdk("schedule.get", plain).last_schedule_states or {})

    eventually(lambda: states().get(message_id) == ScheduleState.SUCCESS)
    shown = sdk("schedule.get", plain)
    assert due <= shown.last_schedule_time <= time.time() * 1000
    assert shown.next_schedule_time >= due + 60_000
    assert destination.at("/paused") == destination.at("/late") == []
    (waiting,) = {
        each.message_id
        for each in sdk("log.list", filter={"schedule_id": late}).logs
        if each.time < due + 59_000
    }
    later = sdk("message.get", waiting)
    assert later.not_before - later.created_at == pytest.approx(3_600_000, abs=2_000)
    for each in (plain, grouped, paused, late):
        sdk("schedule.delete", each)
    sdk("message.cancel_all")


@pytest.mark.parametrize(
    "arguments",
    [
        {"cron": "every day"},
        {"cron": "* * * *"},
        {"cron": "61 * * * *"},
        {"cron": "CRON_TZ=Nowhere/Land * * * * *"},
        {"cron": "* * * * *", "destination": "ftp://127.0.0.1"},
        {"cron": "* * * * *", "destination": "no-such-group"},
        {"cron": "* * * * *", "schedule_id": "an id"},
        {"cron": "* * * * *", "retries": -1},
    ],
)
def test_what_is_no_schedule_is_refused(sdk: Sdk, arguments: dict[str, object]) -> None:
    with pytest.raises(QStashError, match=r"status: 4\d\d.*error"):
        sdk("schedule.create", **{"destination": "http://127.0.0.1:1", **arguments})
    assert "an id" not in [each.schedule_id for each in sdk("schedule.list")]
    for call in ("get", "pause", "resume"):
        with pytest.raises(QStashError, match="404"):
            sdk(f"schedule.{call}", "unknown")
