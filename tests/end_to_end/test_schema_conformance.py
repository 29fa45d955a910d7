"""The API held to its own description by schemathesis: generated requests, valid and not, alone and
in sequences; every answer checked for status, shape, media type and headers. Nothing may be a 500,
and nothing may be answered without the key."""

from pathlib import Path

import pytest

from adapters.webhooks import new_secret
from entrypoints.api_keys import new_key
from tests.generated_requests import answered_as_described
from tests.running import running_service, settings_for
from tests.sizes import sizes

KEY, ENTRY = new_key("alice")
CONFIG = """
hooks = "hooks.py"

[checks.positive_data_acceptance]
# 409: the task has ended. 422: the Idempotency-Key was used with another body. No schema says so.
expected-statuses = ["2xx", "401", "404", "409", "422", "429", "503"]

[phases.stateful.generation]
max-examples = {sequences}

# A stream without an end. tests/end_to_end/test_changes.py compares it with its description.
[[operations]]
include-path = "/api/tasks/events"
enabled = false
"""
HOOKS = r"""
import re

import schemathesis

LONG_AGO = {str: "2001-09-09T01:46:40Z", int: 10**12, float: 1e12}


# No schema can say that a tool's result follows its call, that a task has completed, that one time
# is before another, that one is at most a week away, and what hosts are.
@schemathesis.hook
def before_call(context, case, kwargs):
    valid = case.meta is not None and case.meta.generation.mode.is_positive
    if valid and case.query and "createdAfter" in case.query:
        case.query.pop("createdBefore", None)
    if valid and case.path == "/api/usage" and case.query:
        case.query.pop("from", None)  # which days are kept, no schema says
        case.query.pop("to", None)
    if not isinstance(case.body, dict):
        return
    later = case.body.get("notBefore")
    if valid and later is not None:
        case.body["notBefore"] = min(later, LONG_AGO[type(later)])
    previous, messages = case.body.get("previousTaskId"), case.body.get("messages")
    if isinstance(previous, str) and re.fullmatch("[A-Za-z0-9][A-Za-z0-9_-]{0,127}", previous):
        case.body["previousTaskId"] = None
    if isinstance(messages, list):
        ids = [each.get("tool_call_id") for each in messages if isinstance(each, dict)]
        calls = [{"id": each} for each in ids if isinstance(each, str)]
        if calls:
            messages.insert(0, {"role": "assistant", "tool_calls": calls})
    if valid and case.body.get("webhook") is not None:
        case.body["webhook"]["url"] = "https://receiver.invalid/hook"
    deadline, delay = case.body.get("deadline"), case.body.get("delay")
    if valid and delay is not None:
        # By default a task that waits for its time is awaited for longer than a response may take.
        case.body["delay"] = min(delay, 1 if deadline is None else min(1, deadline - 1))
"""


@pytest.mark.parametrize(
    ("phases", "examples", "sequences", "at_least"),
    sizes(
        dose=("examples,fuzzing", 5, 2, 50),
        full=("examples,coverage,fuzzing,stateful", 350, 40, 2_000),
    ),
)
def test_generated_requests_are_answered_as_described(
    tmp_path: Path, phases: str, examples: int, sequences: int, at_least: int
) -> None:
    """`examples` for each of the operations, beside what the other phases make."""
    (tmp_path / "schemathesis.toml").write_text(CONFIG.format(sequences=sequences))
    (tmp_path / "hooks.py").write_text(HOOKS)
    settings = settings_for(
        env="production",
        log_level="ERROR",
        api_keys=ENTRY,
        stream_secret="a secret of forty characters, or even more",
        webhook_secrets=f"alice:{new_secret()}",
        operators="alice",
    )
    with running_service(settings) as service:
        answered_as_described(
            tmp_path,
            f"{service.url}/schema/openapi.json",
            *("--header", f"Authorization: Bearer {KEY}"),
            *("--phases", phases, "--max-examples", str(examples)),
            at_least=at_least,
        )
