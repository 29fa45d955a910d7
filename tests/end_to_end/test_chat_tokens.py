"""Who may use which chat: owners of keys, pages with the token of a chat, and services without
keys."""

from collections.abc import Iterator
from typing import Any

import httpx
import jwt
import pytest

from tests.doubles.upstream import Gate, Script, Upstream, piece
from tests.end_to_end.guarded import ALICE, BOB, SECRET, alices, as_bearer, exposed
from tests.end_to_end.ui_client import asking, follow, posted, send
from tests.running import Running, running_service


@pytest.fixture(scope="module")
def service(shared_upstream: Upstream) -> Iterator[Running]:
    with alices(shared_upstream) as running:
        yield running


def token_for(service: Running, chat: str, key: str = ALICE, **body: Any) -> dict[str, str]:
    """The header of a page that has the token of a chat."""
    made = httpx.post(
        f"{service.url}/api/chat/{chat}/token", headers=as_bearer(key), json=body or None
    )
    assert made.status_code == 200, made.text
    assert made.headers["cache-control"] == "no-store"
    return as_bearer(made.json()["token"])


def status_of(service: Running, method: str, path: str, headers: Any, **options: Any) -> int:
    url = f"{service.url}{path}"
    with httpx.stream(method, url, headers=headers, timeout=20, **options) as response:
        return response.status_code


def test_a_token_opens_its_chat(service: Running) -> None:
    page = token_for(service, "opened")
    sent = send(service, asking("opened"), headers=page)
    assert sent.text == "Hello, world."
    for place in ("opened", sent.task_id):
        assert follow(service, place, headers=page).chunks == sent.chunks
        assert status_of(service, "POST", f"/api/chat/{place}/stop", page) == 200
    # The task is that of the key's owner.
    assert service.client.record(sent.task_id)["text"] == "Hello, world."


def test_a_token_opens_nothing_else(service: Running) -> None:
    page = token_for(service, "mine")
    other = send(service, asking("other"), headers=as_bearer(ALICE)).task_id
    unnamed = send(service, asking(None), headers=as_bearer(ALICE)).task_id
    native = service.client.start()
    paths = {
        "/api/chat/other/stream": 403,
        f"/api/chat/{other}/stream": 404,
        f"/api/chat/{unnamed}/stream": 404,
        f"/api/chat/{native}/stream": 404,
        f"/api/tasks/{native}": 401,
        f"/api/tasks/stream?taskId={native}": 401,
        "/v1/models": 401,
    }
    for path, status in paths.items():
        assert status_of(service, "GET", path, page) == status, path
    for place, status in (("other", 403), (other, 404), (native, 404)):
        assert status_of(service, "POST", f"/api/chat/{place}/stop", page) == status
    for body, status in ((asking("other"), 403), (asking(None), 400)):
        assert status_of(service, "POST", "/api/chat", page, json=body) == status
    assert status_of(service, "POST", "/api/chat/mine/token", page) == 401
    assert status_of(service, "POST", "/api/tasks/start", page, json={"prompt": "Hi."}) == 401
    in_query = "/api/chat/mine/stream?token=" + page["Authorization"].removeprefix("Bearer ")
    assert status_of(service, "GET", in_query, {}) == 401


@pytest.mark.parametrize("right", ["send", "follow", "stop"])
def test_a_token_allows_what_it_was_made_for(service: Running, right: str) -> None:
    page = token_for(service, "right", may=[right])
    got = {
        "send": status_of(service, "POST", "/api/chat", page, json=asking("right")),
        "follow": status_of(service, "GET", "/api/chat/right/stream", page),
        "stop": status_of(service, "POST", "/api/chat/right/stop", page),
    }
    assert got.pop(right) in (200, 204)
    assert set(got.values()) == {403}


def test_chats_of_two_owners_are_two(service: Running) -> None:
    alices_task = send(service, asking("shared"), headers=as_bearer(ALICE)).task_id
    assert follow(service, "shared", headers=as_bearer(BOB)).status == 204
    bobs = send(service, asking("shared"), headers=token_for(service, "shared", BOB))
    assert bobs.task_id != alices_task
    assert follow(service, "shared", headers=as_bearer(ALICE)).task_id == alices_task
    assert follow(service, alices_task, headers=as_bearer(BOB)).status == 404


@pytest.mark.parametrize("fault", ["secret", "audience", "owner", "no end", "no chat", "link"])
def test_a_token_that_was_made_otherwise_opens_nothing(service: Running, fault: str) -> None:
    claims = {"aud": "longtask:chat", "sub": "alice", "chat": "c", "may": ["send"], "exp": 2e9}
    secret = "another secret, of forty characters, too" if fault == "secret" else SECRET
    claims |= {"audience": {"aud": "longtask:stream"}, "owner": {"sub": "carol"}}.get(fault, {})
    claims.pop({"no end": "exp", "no chat": "chat"}.get(fault, ""), None)
    token = jwt.encode(claims, secret, "HS256")
    if fault == "link":
        task = service.client.start()
        token = service.client.record(task)["streamUrl"].partition("token=")[2]
    body = asking("c")
    assert status_of(service, "POST", "/api/chat", as_bearer(token), json=body) == 401


def test_a_token_that_has_expired_says_so(service: Running) -> None:
    claims = {"aud": "longtask:chat", "sub": "alice", "chat": "c", "may": ["follow"], "exp": 1}
    token = as_bearer(jwt.encode(claims, SECRET, "HS256"))
    refused = httpx.get(f"{service.url}/api/chat/c/stream", headers=token)
    assert refused.status_code == 401
    assert refused.json()["type"] == "urn:longtask:problem:chat-token-expired"


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"ttl": 0, "may": ["fly"], "x": 1}, ["ttl", "may", "x"]),
        ({"ttl": 3601}, ["ttl"]),
        ({"ttl": "1", "may": []}, ["ttl", "may"]),
        ({"may": [["send"]]}, ["may"]),
    ],
)
def test_a_token_is_asked_for_rightly(service: Running, body: Any, fields: list[str]) -> None:
    url = f"{service.url}/api/chat/c/token"
    refused = httpx.post(url, headers=as_bearer(ALICE), json=body)
    assert refused.status_code == 400
    assert [each["field"] for each in refused.json()["errors"]] == fields


def test_a_token_holds_each_right_once(service: Running) -> None:
    page = token_for(service, "often", may=["stop", "follow"] * 10_000)
    assert len(page["Authorization"]) < 1_000
    assert follow(service, "often", headers=page).status == 204


def test_what_a_token_starts_counts_for_its_owner(upstream: Upstream) -> None:
    with alices(upstream, limits="starts=2") as service:
        for n in range(2):
            send(service, asking(f"c{n}"), headers=token_for(service, f"c{n}"))
        page = token_for(service, "c2")
        assert status_of(service, "POST", "/api/chat", page, json=asking("c2")) == 429


def test_a_chat_that_may_start_nothing_keeps_its_task(upstream: Upstream) -> None:
    with alices(upstream, limits="starts=1") as service:
        sent = send(service, asking("c"), headers=as_bearer(ALICE))
        again = asking("c", trigger="regenerate-message")
        assert status_of(service, "POST", "/api/chat", as_bearer(ALICE), json=again) == 429
        assert follow(service, "c", headers=as_bearer(ALICE)).task_id == sent.task_id


def test_a_running_task_makes_room_for_the_next_of_its_chat(upstream: Upstream) -> None:
    gate = Gate()
    upstream.then(Script([piece("Hel"), gate]))
    with alices(upstream, limits="running=1") as service:
        key = {"headers": as_bearer(ALICE)}
        with posted(service, asking("c"), **key) as first:
            first.read(until="text-delta")
            assert send(service, asking("c", trigger="regenerate-message"), **key).done
            gate.open()


@pytest.mark.parametrize("trusted", [True, False])
def test_without_keys_chats_exist_where_all_callers_are_trusted(
    upstream: Upstream, *, trusted: bool
) -> None:
    with running_service(exposed(upstream, trusted=trusted)) as service:
        expected = 200 if trusted else 403
        got = [
            status_of(service, "POST", "/api/chat", {}, json=asking("c")),
            status_of(service, "GET", "/api/chat/c/stream", {}),
            status_of(service, "POST", "/api/chat/c/stop", {}),
        ]
        assert got == [expected] * 3
        unnamed = send(service, asking(None))  # an unguessable id protects it
        assert follow(service, unnamed.task_id).chunks == unnamed.chunks
        assert status_of(service, "POST", "/api/chat/c/token", {}) == (409 if trusted else 403)
