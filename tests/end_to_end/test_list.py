"""`GET /api/tasks`: the caller's tasks, by every parameter, in pages, and refused in words."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.doubles.upstream import DONE, Gate, Script, Upstream, finish, piece, refusal
from tests.end_to_end.guarded import ALICE, BOB, alices, as_bearer, exposed
from tests.running import Running, running_service, settings_for

PATH = "/api/tasks"


@pytest.fixture(scope="module")
def listed() -> Iterator[tuple[Running, dict[str, dict[str, Any]]]]:
    """A service of Alice's with her tasks, by names of ours: their records."""
    with Upstream().running() as upstream, alices(upstream) as service:
        client = service.client
        upstream.then(refusal(401))
        asked = {
            "failed": {"model": "m-1", "metadata": {"a": "1", "b[c]": "é&="}},
            "completed": {"model": "m-2", "metadata": {"a": "1"}},
            "running": {"model": "m-1", "metadata": {"a": "2\u2028"}},
        }
        gate, tasks = Gate(), {}
        for name, fields in asked.items():
            if name == "running":
                upstream.then(Script([piece("one"), gate, finish(), DONE]))
            tasks[name] = client.start(f"  Tell me\nof {name}. ", **fields)
            client.wait_for(tasks[name], name)
        yield service, {name: client.record(task) for name, task in tasks.items()}
        gate.open()
        client.wait_for(tasks["running"], "completed")


def names_of(
    listed: tuple[Running, dict[str, dict[str, Any]]], query: str
) -> tuple[list[str], str | None]:
    service, records = listed
    response = service.client.http.get(f"{PATH}?{query}")
    assert response.status_code == 200, response.text
    names = {record["taskId"]: name for name, record in records.items()}
    body = response.json()
    return [names[each["taskId"]] for each in body["tasks"]], body["next"]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", ["running", "completed", "failed"]),
        ("status=completed", ["completed"]),
        ("status=running&status=failed", ["running", "failed"]),
        ("status=running,failed&status=completed&limit=100", ["running", "completed", "failed"]),
        ("status=cancelled", []),
        ("model=m-2", ["completed"]),
        ("model=nothing", []),
        ("metadata[a]=1", ["completed", "failed"]),
        ("metadata%5Ba%5D=1&status=failed", ["failed"]),
        (f"metadata[b[c]]={quote('é&=')}&metadata[a]=1", ["failed"]),
        (f"metadata[a]={quote('2' + chr(0x2028))}", ["running"]),
        ("metadata[a]=3", []),
        ("createdAfter={completed}", ["running"]),
        ("createdBefore={completed}", ["failed"]),
        ("createdAfter={failed}&createdBefore={running}", ["completed"]),
        ("createdAfter=2020-01-01T00:00:00%2B01:00", ["running", "completed", "failed"]),
        ("createdAfter=2020-01-01T00:00:00+01:00", ["running", "completed", "failed"]),
        ("createdBefore=2020-01-01t00:00:00.1234567z", []),
        ("after={completed}.zzz", ["completed", "failed"]),
        ("after=0.task_1_gone", []),
    ],
)
def test_every_parameter_selects(
    listed: tuple[Running, dict[str, dict[str, Any]]], query: str, names: list[str]
) -> None:
    created = {name: record["createdAt"] for name, record in listed[1].items()}
    for name, at in created.items():
        query = query.replace(f"{{{name}}}", str(at))
    assert names_of(listed, query) == (names, None)


def test_pages_follow_each_other(listed: tuple[Running, dict[str, dict[str, Any]]]) -> None:
    found, after = [], ""
    for number in (1, 2, 3):
        names, cursor = names_of(listed, f"limit=1{after}")
        found += names
        assert (cursor is None) == (number == 3)
        after = f"&after={cursor}"
    assert found == ["running", "completed", "failed"]


def test_a_summary_agrees_with_the_record(
    listed: tuple[Running, dict[str, dict[str, Any]]],
) -> None:
    service, records = listed
    for each in service.client.http.get(PATH).json()["tasks"]:
        record = service.client.record(each["taskId"])
        assert each.pop("title") == f"Tell me of {record['status']}."
        assert each.pop("metadata") == record["request"]["metadata"]
        assert each.pop("requestedModel") == record["request"]["model"]
        assert each.pop("model") == (record["model"] or record["request"]["model"])
        assert each.items() <= record.items()
    assert records


FAULTS = {
    "status=done": ["status"],
    "status=": ["status"],
    "status=running,,failed": ["status"],
    "status=running&status=RUNNING": ["status"],
    "model=": ["model"],
    "model=" + "m" * 201: ["model"],
    "metadata=a": ["metadata"],
    "metadata[]=a": ["metadata[]"],
    "metadata[a]=1&metadata[a]=1": ["metadata[a]"],
    "metadata[a]=" + "x" * 513: ["metadata[a]"],
    "&".join(f"metadata[{n}]=1" for n in range(17)): ["metadata"],
    "createdAfter=yesterday": ["createdAfter"],
    "createdAfter=2026-11-29": ["createdAfter"],
    "createdAfter=2026-02-30T00:00:00Z": ["createdAfter"],
    "createdAfter=-1": ["createdAfter"],
    "createdBefore=1" + "0" * 15: ["createdBefore"],
    "createdAfter=5&createdBefore=5": ["createdBefore"],
    "limit=0": ["limit"],
    "limit=101": ["limit"],
    "limit=ten": ["limit"],
    "limit=%D9%A1": ["limit"],  # a digit, in another script
    "limit=": ["limit"],
    "after=": ["after"],
    "after=1": ["after"],
    "after=1.-a": ["after"],
    "after=1." + "a" * 129: ["after"],
    "after=%00": ["after"],
    "limit=1&limit=1": ["limit"],
    "Status=running": ["Status"],
    "token=x&x%20y": ["token", "x y"],
    "status=x&model=&metadata=1&createdAfter=a&createdBefore=b&limit=x&after=x&q=1": [
        *("q", "metadata", "createdAfter", "createdBefore", "status", "model", "after", "limit")
    ],
}


@pytest.mark.parametrize("query", FAULTS, ids=range(len(FAULTS)))
def test_everything_that_is_wrong_is_named(
    listed: tuple[Running, dict[str, dict[str, Any]]], query: str
) -> None:
    http = listed[0].client.http
    refused = http.get(f"{PATH}?{query}")
    assert refused.status_code == 400, refused.text
    assert refused.json()["type"] == "urn:longtask:problem:invalid-request"
    assert [each["field"] for each in refused.json()["errors"]] == FAULTS[query]
    assert http.head(f"{PATH}?{query}").status_code == 400


def test_thousands_of_faults_are_not_all_told(shared_service: Running) -> None:
    refused = shared_service.client.http.get(f"{PATH}?" + "&".join(f"x{n}" for n in range(4_000)))
    assert refused.status_code == 400
    assert len(refused.json()["errors"]) == 100


def test_only_a_key_lists_and_only_its_own(
    listed: tuple[Running, dict[str, dict[str, Any]]],
) -> None:
    service, records = listed
    http = service.client.http
    token = http.post("/api/chat/a/token").json()["token"]
    link = next(iter(records.values()))["streamUrl"].partition("token=")[2]
    for path in (PATH, f"{PATH}/events"):
        for headers in ({}, as_bearer(token), as_bearer("wrong")):
            for method in ("GET", "HEAD"):
                refused = httpx.request(method, service.url + path, headers=headers)
                assert refused.status_code == 401
        assert httpx.get(f"{service.url}{path}?token={link}").status_code == 401
    assert httpx.get(service.url + PATH, headers=as_bearer(BOB)).json() == {
        "tasks": [],
        "next": None,
    }
    assert len(httpx.get(service.url + PATH, headers=as_bearer(ALICE)).json()["tasks"]) == 3


@pytest.mark.parametrize("trusted", [True, False])
def test_without_keys_the_list_exists_where_all_callers_are_trusted(
    upstream: Upstream, *, trusted: bool
) -> None:
    with running_service(exposed(upstream, trusted=trusted)) as service:
        for path in (PATH, f"{PATH}?limit=x", f"{PATH}/events?lastEventId=x"):
            response = service.client.http.get(path)
            if not trusted:
                assert response.status_code == 403
                assert response.json()["type"] == "urn:longtask:problem:list-closed"
                assert service.client.http.head(path).status_code == 403
            else:
                assert response.status_code == (200 if path == PATH else 400)


def test_pages_of_all_origins_neither_list_nor_watch(upstream: Upstream) -> None:
    with running_service(settings_for(openai_base_url=upstream.url, cors_origins="*")) as service:
        origin = {"Origin": "https://elsewhere.example"}
        http = service.client.http
        assert "access-control-allow-origin" not in http.get(PATH, headers=origin).headers
        with http.stream("GET", f"{PATH}/events", headers=origin) as stream:
            assert "access-control-allow-origin" not in stream.headers


def test_other_methods(shared_service: Running) -> None:
    http = shared_service.client.http
    for path in (PATH, f"{PATH}/", f"{PATH}/events"):
        assert http.options(path).headers["Allow"] == "GET, HEAD, OPTIONS"
        for method in ("POST", "PUT", "DELETE"):
            refused = http.request(method, path)
            assert refused.status_code == 405
            assert refused.headers["Allow"] == "GET, HEAD, OPTIONS"
    assert http.get(f"{PATH}/").json() == {"tasks": [], "next": None}
