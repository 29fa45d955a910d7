"""Links that open one stream without a header, for as long as they say."""

from collections.abc import Iterator

import httpx
import jwt
import pytest

from tests.doubles.upstream import DONE, Gate, Script, Upstream, finish, piece
from tests.end_to_end.guarded import SECRET, alices, as_bearer, call
from tests.running import Running, follow, running_service, settings_for
from tests.waiting import eventually, within


@pytest.fixture(scope="module")
def service() -> Iterator[Running]:
    with Upstream().running() as upstream, alices(upstream) as running:
        yield running


def link_of(service: Running, task: str) -> str:
    return str(service.client.record(task)["streamUrl"])


def test_a_link_opens_its_stream_without_a_header(service: Running) -> None:
    answer = service.client.http.post("/api/tasks/start", json={"prompt": "Hi."})
    task, link = answer.json()["taskId"], answer.json()["streamUrl"]
    service.client.wait_for(task, "completed")
    for each in (link, link_of(service, task)):
        opened = httpx.get(service.url + each)
        assert opened.status_code == 200
        assert "Hello, world." in opened.text


def test_a_link_opens_nothing_else(service: Running) -> None:
    task, other = service.client.start(), service.client.start()
    token = link_of(service, task).partition("token=")[2]
    tried = {
        "another task's stream": f"/api/tasks/stream?taskId={other}&token={token}",
        "no task's stream": f"/api/tasks/stream?token={token}",
        "the record": f"/api/tasks/{task}?token={token}",
        "the status": f"/api/tasks/start?taskId={task}&token={token}",
    }
    for what, path in tried.items():
        assert httpx.get(service.url + path).status_code == 401, what
    for first, last in ((other, task), (task, other)):
        both = f"/api/tasks/stream?taskId={first}&token={token}&taskId={last}"
        refused = httpx.get(service.url + both)
        assert refused.status_code == 400
        assert refused.json()["errors"] == [{"field": "taskId", "message": "is given twice"}]
    cancel = httpx.post(f"{service.url}/api/tasks/{task}/cancel?token={token}")
    assert cancel.status_code == 401
    assert httpx.get(service.url + "/", headers=as_bearer(token)).status_code == 200
    assert call(service, "record", task, as_bearer(token)).status_code == 401


@pytest.mark.parametrize("fault", ["secret", "algorithm", "audience", "owner", "no end", "cut"])
def test_a_link_that_was_made_by_somebody_else_opens_nothing(service: Running, fault: str) -> None:
    task = service.client.start()
    claims = {"aud": "longtask:stream", "sub": "alice", "task": task, "exp": 2_000_000_000}
    secret, algorithm = SECRET, "HS256"
    match fault:
        case "secret":
            secret = "another secret, of forty characters, too"
        case "algorithm":
            secret, algorithm = "", "none"
        case "audience":
            claims["aud"] = "another"
        case "owner":
            claims["sub"] = "carol"
        case "no end":
            del claims["exp"]
    token = jwt.encode(claims, secret, algorithm)
    if fault == "cut":
        token = token[:-1]
    answer = httpx.get(f"{service.url}/api/tasks/stream?taskId={task}&token={token}")
    assert answer.status_code == 401


def test_a_link_ends_but_not_the_stream_that_it_opened(upstream: Upstream) -> None:
    gate = Gate()
    upstream.then(Script([piece("before"), gate, piece(" after"), finish(), DONE]))
    with alices(upstream, stream_link_ttl=2.0) as service:
        task = service.client.start()
        link = link_of(service, task)
        with httpx.stream("GET", service.url + link, timeout=within(20)) as stream:
            lines = stream.iter_lines()
            next(line for line in lines if "before" in line)

            def expired() -> bool:
                with httpx.stream("GET", service.url + link) as again:
                    return again.status_code == 401

            eventually(expired)
            refused = httpx.get(service.url + link)
            assert refused.json()["type"] == "urn:longtask:problem:stream-link-expired"
            gate.open()
            assert any('"type":"end"' in line for line in lines)
        assert httpx.get(service.url + link_of(service, task)).status_code == 200


def test_without_keys_links_are_plain_and_tokens_are_not_looked_at(upstream: Upstream) -> None:
    with running_service(settings_for(openai_base_url=upstream.url)) as service:
        task = service.client.start()
        assert link_of(service, task) == f"/api/tasks/stream?taskId={task}"
        thread, seen = follow(service.url, task)
        thread.join(within(10))
        assert seen.text == "Hello, world."
        stale = httpx.get(f"{service.url}/api/tasks/stream?taskId={task}&token=stale")
        assert stale.status_code == 200
