"""Who may do what: API keys, and the tasks that belong to them."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from adapters.memory import MemoryTaskLog
from tests.commands import invoke
from tests.doubles.upstream import DONE, Gate, Script, Upstream, finish, piece
from tests.end_to_end.guarded import (
    ALICE,
    ALICE_NEW,
    ALICES_ENTRY,
    BOB,
    CALLS,
    SECRET,
    UNKNOWN,
    alices,
    as_bearer,
    call,
)
from tests.processes import run_to_its_end
from tests.running import Running, running_service, settings_for
from tests.signing import WEBHOOK, deliver, message, sign
from tests.waiting import within


@pytest.fixture(scope="module")
def service() -> Iterator[Running]:
    with Upstream().running() as upstream, alices(upstream) as running:
        yield running


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer"},
        as_bearer("lt_guessed"),
        as_bearer(ALICES_ENTRY.partition("sha256:")[2]),
        {"Authorization": f"Basic {ALICE}"},
        {"Authorization": ALICE},
        as_bearer(ALICE[:-1]),
    ],
    ids=["none", "empty", "guess", "the hash", "another scheme", "no scheme", "cut"],
)
def test_nothing_is_done_without_a_key(
    service: Running, name: str, headers: dict[str, str]
) -> None:
    answer = call(service, name, UNKNOWN, headers)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert answer.json()["type"] == "urn:longtask:problem:unauthorized"
    assert ALICE not in answer.text


def test_a_caller_is_told_who_it_is_and_what_its_limits_are(upstream: Upstream) -> None:
    settings = settings_for(
        openai_base_url=upstream.url,
        api_keys=ALICES_ENTRY,
        stream_secret=SECRET,
        limits="starts=60,tokens=1000",
        address_limits="streams=5",
        shares="*:parallelism=4",
    )
    with running_service(settings) as service:
        path = f"{service.url}/api/me"
        me = httpx.get(path, headers=as_bearer(ALICE)).json()
        assert me["owner"] == "alice"
        assert sorted((each["name"], each["limit"]) for each in me["limits"]) == [
            ("starts-per-key", 60),
            ("streams-per-address", 5),
            ("tokens-per-key", 1000),
        ]
        tokens = next(each for each in me["limits"] if each["name"] == "tokens-per-key")
        assert tokens["left"] == 1000
        assert 0 < tokens["reset"] <= 86_400
        assert me["share"] == {"parallelism": 4, "running": 0, "rate": None, "period": 1}
        assert httpx.head(path, headers=as_bearer(ALICE)).status_code == 200


def test_without_keys_there_is_one_owner(shared_service: Running) -> None:
    me = shared_service.client.http.get("/api/me").json()
    assert me == {"owner": None, "limits": [], "share": None}


def test_every_route_under_api_is_among_these_or_signed(service: Running) -> None:
    paths = service.client.http.get("/schema/openapi.json").json()["paths"]
    routes = {
        (method.upper(), path)
        for path, methods in paths.items()
        if path.startswith("/api/")
        for method in methods
    }
    named = {
        (method, path.partition("?")[0].replace("{task}", "{taskId}"))
        for method, path in CALLS.values()
    }
    signed = {("POST", "/api/qstash/webhook"), ("POST", "/api/qstash/failure")}
    assert routes == named | signed


def test_a_key_opens_what_is_its_own_and_nothing_else(service: Running) -> None:
    task = service.client.start()
    service.client.wait_for(task, "completed")
    for name in ("status", "record", "result", "stream"):
        assert call(service, name, task, as_bearer(ALICE)).status_code == 200
        other = call(service, name, task, as_bearer(BOB))
        nobodys = call(service, name, UNKNOWN, as_bearer(BOB))
        assert other.status_code == nobodys.status_code == 404
        assert other.json() == nobodys.json(), "nothing tells that the task exists"
    assert call(service, "cancel", task, as_bearer(BOB)).status_code == 404
    assert call(service, "cancel", task, as_bearer(ALICE)).status_code == 409


def test_another_key_of_the_same_name_owns_the_same_tasks(service: Running) -> None:
    task = service.client.start()
    assert call(service, "record", task, as_bearer(ALICE_NEW)).status_code == 200


def test_anothers_running_task_is_not_cancelled(upstream: Upstream) -> None:
    gate = Gate()
    upstream.then(Script([piece("a"), gate, finish(), DONE]))
    with alices(upstream) as service:
        task = service.client.start()
        assert gate.reached.wait(within(10))
        assert call(service, "cancel", task, as_bearer(BOB)).status_code == 404
        gate.open()
        assert service.client.wait_for(task, "completed")["text"] == "a"


def test_two_owners_do_not_meet_in_an_idempotency_key(service: Running) -> None:
    def start(key: str) -> str:
        headers = {**as_bearer(key), "Idempotency-Key": "the same"}
        answer = httpx.post(
            f"{service.url}/api/tasks/start", json={"prompt": "Hi."}, headers=headers
        )
        assert answer.status_code == 202
        return str(answer.json()["taskId"])

    assert start(ALICE) == start(ALICE)
    assert start(ALICE) != start(BOB)


def test_the_queue_needs_no_key_but_a_signature(service: Running) -> None:
    assert httpx.post(f"{service.url}/api/qstash/webhook", content="{}").status_code == 401
    assert httpx.post(f"{service.url}/api/qstash/failure", content="{}").status_code == 401
    url, body = service.url + WEBHOOK, b"{}"
    signature = sign(url, body, service.queue.current_key, 1e8)
    answer = deliver(service.client.http, body, signature)
    assert answer.status_code == 401, "signed for another time"


def test_what_is_no_secret_is_open(service: Running) -> None:
    for path in ("/", "/healthz", "/readyz", "/metrics", "/schema", "/web/page.js"):
        assert httpx.get(service.url + path).status_code == 200, path


def test_a_delivery_makes_a_lost_task_its_owners_again(service: Running) -> None:
    """The message holds the owner: a store that lost the record gets it back with it."""
    task = service.client.start()
    service.client.wait_for(task, "completed")
    memory = service.service.container.kept_tasks()
    assert isinstance(memory, MemoryTaskLog)
    del memory._entries[task]
    body = message(task, owner="alice")
    signature = sign(service.url + WEBHOOK, body, service.queue.current_key)
    assert deliver(service.client.http, body, signature).status_code == 200
    assert call(service, "record", task, as_bearer(ALICE)).json()["status"] == "completed"
    assert call(service, "record", task, as_bearer(BOB)).status_code == 404


def test_a_key_from_the_command_line_and_one_that_asks_with_it(
    upstream: Upstream, tmp_path: Path
) -> None:
    made = invoke(tmp_path, "key", "new", "carol")
    lines = dict(re.findall(r"^(LONGTASK_\w+)=(.+)$", made.stdout, re.M))
    key = made.stderr.split()[-1]
    assert key not in lines["LONGTASK_API_KEYS"]
    settings = settings_for(
        openai_base_url=upstream.url,
        api_keys=lines["LONGTASK_API_KEYS"],
        stream_secret=lines["LONGTASK_STREAM_SECRET"],
        env="production",
    )
    with running_service(settings) as service:
        asked = ("ask", "Hi.", "--server", service.url)
        refused = invoke(tmp_path, *asked)
        assert refused.exit_code == 1
        assert "API key" in refused.stderr
        done = invoke(tmp_path, *asked, LONGTASK_KEY=key)
        assert (done.exit_code, done.stdout.strip()) == (0, "Hello, world.")
    assert invoke(tmp_path, "key", "new", "no name").exit_code == 1


@pytest.mark.soak
def test_a_prompt_of_ones_own_needs_no_key(tmp_path: Path) -> None:
    """The service that `ask` starts for itself, with settings that want keys of others."""
    done = run_to_its_end(
        tmp_path,
        "ask",
        "Hi.",
        LONGTASK_API_KEYS=ALICES_ENTRY,
        LONGTASK_STREAM_SECRET=SECRET,
        LONGTASK_DEMO_SPEED="0",
    )
    assert done.returncode == 0, done.stderr
