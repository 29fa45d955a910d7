"""`GET /api/usage`: what callers and operators see of the ledger, by each word, and refused in
words."""

import asyncio
import io
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx_sse
import pytest
from click.testing import Result
from rich.console import Console

from application.ports import Addition, Tokens
from entrypoints.task_commands.usage import table_of
from tests.commands import invoke
from tests.doubles.upstream import Upstream
from tests.end_to_end.guarded import ALICE, BOB, alices, as_bearer, exposed
from tests.running import Running, running_service, settings_for

PATH = "/api/usage"
PRICES = '{"gpt*": {"input": 2.5, "cached": 1.25, "output": 10}}'
TODAY = datetime.now(UTC).date()
"""The tests go on being right if midnight comes: what is used lies before."""
LAST, FIRST = TODAY - timedelta(1), TODAY - timedelta(2)
SPAN = f"from={FIRST}&to={LAST}"


def day_of(day: date) -> int:
    return (day - date(1970, 1, 1)).days


@pytest.fixture(scope="module")
def used() -> Iterator[Running]:
    """A service where Alice is an operator, and she and Bob have used two models."""
    with (
        Upstream().running() as upstream,
        alices(upstream, operators="alice", prices=PRICES, owner_limits="bob:tokens=5000") as it,
    ):
        first, last = day_of(FIRST), day_of(LAST)
        additions = [
            Addition("key:alice", first, "gpt", Tokens(1_000, 200, 3, 1), tasks=1),
            Addition("key:alice", last, "gpt", Tokens(1_000, 200, 3, 1), tasks=2),
            Addition("key:alice", last, "llama", Tokens(10, 0, 10), tasks=1),
            Addition("key:bob", last, "gpt-mini", Tokens(0, 0, 1_000_000), tasks=1),
        ]
        asyncio.run(it.service.container.ledger().add(additions))
        yield it


def asked(used: Running, query: str, key: str = "") -> dict[str, Any]:
    headers = as_bearer(key) if key else {}
    response = used.client.http.get(f"{PATH}?{query}", headers=headers)
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


def test_a_report_by_model_has_tokens_and_costs(used: Running) -> None:
    numbers = {
        "tasks": 3,
        "inputTokens": 2_000,
        "cachedTokens": 400,
        "outputTokens": 6,
        "reasoningTokens": 2,
        "totalTokens": 2_006,
        "cost": 0.00456,
    }
    free = {"inputTokens": 10, "cachedTokens": 0, "outputTokens": 10, "reasoningTokens": 0}
    other = {"model": "llama", "tasks": 1, **free, "totalTokens": 20}
    assert asked(used, f"{SPAN}&owner=alice") == {
        "from": str(FIRST),
        "to": str(LAST),
        "currency": "USD",
        "rows": [{"model": "gpt", **numbers}, other],
        "total": {
            "tasks": 4,
            "inputTokens": 2_010,
            "cachedTokens": 400,
            "outputTokens": 16,
            "reasoningTokens": 2,
            "totalTokens": 2_026,
            "cost": 0.00456,
        },
        "unpriced": ["llama"],
    }


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("by=day", [(str(FIRST), 1_003), (str(LAST), 1_001_023)]),
        ("by=owner", [("alice", 2_026), ("bob", 1_000_000)]),
        (
            "by=owner,day",
            [
                ("alice", str(FIRST), 1_003),
                ("alice", str(LAST), 1_023),
                ("bob", str(LAST), 1_000_000),
            ],
        ),
        ("by=model&owner=bob", [("gpt-mini", 1_000_000)]),
        (f"by=model,owner&to={FIRST}&from={FIRST}", [("gpt", "alice", 1_003)]),
        ("by=day&owner=carol", []),
    ],
)
def test_an_operator_sees_all_by_every_word(
    used: Running, query: str, rows: list[tuple[Any, ...]]
) -> None:
    body = asked(used, query if "from" in query else f"{SPAN}&{query}")
    words = query.partition("by=")[2].partition("&")[0].split(",")
    found = [(*(row[word] for word in words), row["totalTokens"]) for row in body["rows"]]
    assert found == rows
    assert body["total"]["totalTokens"] == sum(row[-1] for row in rows)


def test_others_see_their_own(used: Running) -> None:
    for query in ("by=owner", "by=owner&owner=bob"):
        body = asked(used, f"{SPAN}&{query}", BOB)
        assert [(row["owner"], row["cost"]) for row in body["rows"]] == [("bob", 10.0)]
    response = used.client.http.get(f"{PATH}?owner=alice", headers=as_bearer(BOB))
    assert (response.status_code, response.json()["type"]) == (
        403,
        "urn:longtask:problem:operators-only",
    )
    assert used.client.http.get(PATH, headers=as_bearer("lt_wrong")).status_code == 401


def test_without_a_query_it_is_this_month_by_model(used: Running) -> None:
    before = datetime.now(UTC).date()
    body = asked(used, "")
    assert body["to"] in (str(before), str(datetime.now(UTC).date()))
    assert body["from"] == f"{body['to'][:8]}01"
    assert asked(used, f"to={FIRST}")["from"] == f"{str(FIRST)[:8]}01"
    assert used.client.http.head(PATH).status_code == 200


@pytest.mark.parametrize(
    ("query", "faults"),
    [
        (
            "from=yesterday&to=2026-02-30&by=hour&zone=CET",
            {
                "zone": "is not known; known are from, to, by, owner",
                "from": "must be a day, such as 2026-01-31",
                "to": "must be a day, such as 2026-01-31",
                "by": "must be one or several of day, owner, model, separated by commas",
            },
        ),
        (f"from={LAST}&to={FIRST}", {"to": "must not be before from"}),
        ("by=day,day", {"by": "has a word twice"}),
        ("by=", {"by": "must be one or several of day, owner, model, separated by commas"}),
        ("by=day&by=model", {"by": "is given twice"}),
        ("owner=", {"owner": "must be the name of an API key"}),
    ],
)
def test_a_query_that_makes_no_sense_is_refused(
    used: Running, query: str, faults: dict[str, str]
) -> None:
    response = used.client.http.get(f"{PATH}?{query}")
    assert response.status_code == 400
    assert {each["field"]: each["message"] for each in response.json()["errors"]} == faults


def test_what_is_no_longer_kept_is_refused(used: Running) -> None:
    for query in ("from=2020-01-01", "to=2020-01-31"):
        response = used.client.http.get(f"{PATH}?{query}")
        assert response.status_code == 400
        message = response.json()["errors"][0]["message"]
        assert message.startswith("must not be before 20")
        assert message.endswith(": usage is kept for 90 days")


def test_without_keys_it_is_the_usage_of_all_and_only_where_callers_are_trusted() -> None:
    with running_service(settings_for()) as service:
        addition = Addition("all", day_of(LAST), "m", Tokens(1, 0, 1), tasks=1)
        asyncio.run(service.service.container.ledger().add([addition]))
        body = service.client.http.get(f"{PATH}?by=owner&{SPAN}").json()
    assert body["rows"][0]["owner"] is None
    assert body["rows"][0]["totalTokens"] == 2
    assert "cost" not in body["total"]
    assert "currency" not in body
    assert "unpriced" not in body
    with Upstream().running() as upstream:
        for trusted, status in ((False, 403), (True, 200)):
            with running_service(exposed(upstream, trusted=trusted)) as service:
                response = service.client.http.get(PATH)
            assert response.status_code == status
            assert trusted or response.json()["type"] == "urn:longtask:problem:usage-closed"


def test_the_command_prints_lines_with_tabs_or_json(tmp_path: Path, used: Running) -> None:
    def run(*words: str, key: str = ALICE) -> Result:
        return invoke(tmp_path, "usage", "--server", used.url, "--key", key, *words)

    span = ("--from", str(FIRST), "--to", str(LAST))
    done = run(*span, "--by", "owner,model")
    assert done.stdout.splitlines() == [
        "alice\tgpt\t3\t2000\t400\t6\t2\t2006\t0.00456",
        "alice\tllama\t1\t10\t0\t10\t0\t20\t",
        "bob\tgpt-mini\t1\t0\t0\t1000000\t0\t1000000\t10.0",
    ]
    assert (done.exit_code, done.stderr) == (0, "without a price: llama\n")
    assert json.loads(run(*span, "--json").stdout) == asked(used, SPAN)
    own = run(*span, key=BOB)
    assert own.stdout.splitlines() == ["gpt-mini\t1\t0\t0\t1000000\t0\t1000000\t10.0"]
    assert own.stderr == "left of today's tokens of your API key: 5,000 of 5,000\n"
    nothing = run("--owner", "carol", *span)
    assert (nothing.exit_code, nothing.stdout) == (0, "")
    assert nothing.stderr == f"nothing was used from {FIRST} to {LAST}\n"
    refused = run("--from", "soon")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert refused.stderr == "Error: 400: from: must be a day, such as 2026-01-31\n"
    wrong = run("--by", "hour")
    assert wrong.exit_code == 2
    assert "must be one or several of model, day, owner, separated by commas" in wrong.stderr


def test_a_terminal_gets_a_table_with_sums(used: Running) -> None:
    out = Console(file=io.StringIO(), width=120, markup=False, highlight=False)
    report = asked(used, f"{SPAN}&by=model,owner")
    report["rows"][0]["model"] = "[red]gpt\x1b[31m"
    out.print(table_of(report, ["model", "owner"], out.width))
    assert isinstance(out.file, io.StringIO)
    lines = [line.split() for line in out.file.getvalue().splitlines()]
    head, first, *_, last = lines
    assert head[:4] == ["MODEL", "OWNER", "TASKS", "INPUT"]
    assert head[-2:] == ["TOKENS", "USD"]
    assert first == [r"[red]gpt\x1b[31m", "alice", "3", "2,000", "400", "6", "2", "2,006", "0.0046"]
    assert last == ["total", "5", "2,010", "400", "1,000,016", "2", "1,002,026", "10.00"]


def test_record_list_and_watch_tell_the_cost() -> None:
    with Upstream().running() as upstream:
        settings = settings_for(
            openai_base_url=upstream.url, prices='{"test*": {"input": 1, "output": 2}}'
        )
        with running_service(settings) as service:
            task = service.client.start()
            record = service.client.wait_for(task, "completed")
            (listed,) = service.client.http.get("/api/tasks").json()["tasks"]
            with httpx_sse.connect_sse(service.client.http, "GET", "/api/tasks/events") as source:
                told = next(
                    data["task"]
                    for data in (json.loads(each.data) for each in source.iter_sse())
                    if data["type"] == "task"
                )
    usage = record["usage"]
    amount = (usage["promptTokens"] + 2 * usage["completionTokens"]) / 1_000_000
    assert record["cost"] == {
        "amount": pytest.approx(amount),
        "currency": "USD",
        "estimated": usage["estimated"],
    }
    assert listed["cost"] == told["cost"] == record["cost"]
