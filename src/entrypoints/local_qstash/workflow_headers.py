"""The headers by which a message says that it belongs to a run of Upstash Workflow."""

import contextlib
from collections.abc import Mapping
from typing import Any

from entrypoints.local_qstash.message import QueuedMessage

PREFIX = "upstash-workflow-"
RUN_ID, INIT, CREATED_AT = (f"Upstash-Workflow-{each}" for each in ("Runid", "Init", "Createdat"))
"""Their names as deliveries have them."""


def forwarded_of_run(given: Mapping[str, str]) -> dict[str, list[str]]:
    """Return those headers of a publish that the workflow is sent: it finds its run by them. A call
    of others, whose response the workflow asks for, is sent none. `given`: names in lower case."""
    if given.get(f"{PREFIX}calltype") == "toCallback":
        return {}
    return {name.title(): [value] for name, value in given.items() if name.startswith(PREFIX)}


def run_id_of(message: QueuedMessage) -> str | None:
    """Return the id of the run of which the message is a step, or a callback."""
    found = message.headers.get(RUN_ID)
    return found[0] if found else None


def run_id_of_call(message: QueuedMessage) -> str | None:
    """Return the id of the run that asks for the response to this message."""
    headers = message.callback_headers.items()
    return next((value for name, value in headers if name.title() == RUN_ID), None)


def told_of_run(message: QueuedMessage, first_body: str | None) -> dict[str, Any]:
    """Return what a callback tells beside the rest if its message is a step of a run: of which, and
    the body (base64) with which the run was started."""
    run_id = run_id_of(message)
    if run_id is None:
        return {}
    told: dict[str, Any] = {"workflowRunId": run_id}
    with contextlib.suppress(ValueError, LookupError):
        told["workflowCreatedAt"] = int(message.headers[CREATED_AT][0])
    told["sourceBody"] = first_body or ""
    return told
