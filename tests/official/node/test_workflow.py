"""Upstash Workflow's own SDK, against `longtask local-qstash` as a project starts it: by
QSTASH_DEV=true, the SDK must take it for the development server."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.official.node.clients import Node
from tests.processes import found_in, process_of


@pytest.fixture(scope="module")
def local_qstash(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("qstash")
    options = ("--port", "0", "--json-logs", "--data", str(folder / "queue.db"))
    with process_of(folder, "local-qstash", *options) as (_, log):
        yield found_in(log)


@pytest.fixture
def workflow(node: Node, local_qstash: str) -> Callable[[str], dict[str, Any]]:
    """What the service has seen in a scenario."""

    def run(scenario: str) -> dict[str, Any]:
        seen: dict[str, Any] = node.result("workflow", local_qstash, scenario)
        assert f"Server already running at {local_qstash}" in " ".join(seen["said"])
        assert not (node.folder / ".cache" / "upstash").exists()  # it has downloaded no server
        return seen

    return run


@pytest.mark.soak
def test_the_quickstart(workflow: Callable[[str], dict[str, Any]]) -> None:
    seen = workflow("quickstart")
    (last, result), *rest = seen["noted"]
    assert (last, rest) == ("last", [["end"]])
    assert result == {
        "second": {"after": "first of Ö"},
        "status": 200,
        "body": {"path": "/called", "method": "PUT", "body": '{"n":1}'},
        "left": "l",
        "right": "r",
        "header": "t",
        "label": "a-label",
    }
    assert seen["paths"].count("/called") == 1
    assert seen["workflowRunId"] == "wfr_quick"


@pytest.mark.soak
def test_a_run_that_fails(workflow: Callable[[str], dict[str, Any]]) -> None:
    seen = workflow("failing")
    assert seen["noted"] == [["first"]]
    assert seen["failed"] == [
        {
            "runId": seen["workflowRunId"],
            "input": {"n": 1},
            "failStatus": 489,
            "failResponse": "for good",
        }
    ]


@pytest.mark.soak
def test_events(workflow: Callable[[str], dict[str, Any]]) -> None:
    seen = workflow("events")
    (waiter,) = seen["waiters"]
    assert waiter["url"].endswith("/workflow")
    (notified,) = seen["notified"]
    assert notified["messageId"]
    assert seen["after"] == []
    assert seen["noted"] == [
        [
            "last",
            {
                "came": {"eventData": {"n": 1}, "timeout": False},
                "never": {"timeout": True},
                "sent": {
                    "eventId": "other-event",
                    "eventData": {"from": "the workflow"},
                    "notifyResponse": [],
                },
            },
        ],
        ["end"],
    ]


@pytest.mark.soak
def test_runs_that_are_cancelled(workflow: Callable[[str], dict[str, Any]]) -> None:
    seen = workflow("cancelled")
    assert seen["noted"] == [["first"], ["first"]]
    assert [each["cancelled"] for each in seen["counts"]] == [1, 1, 0]
