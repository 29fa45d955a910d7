"""The four users of QStash's development server, and their tokens and keys."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from qstash import Receiver

from adapters.database import open_database
from adapters.qstash import DEVELOPMENT_USERS
from entrypoints.local_qstash.account import Account, AccountSettings
from entrypoints.local_qstash.tables import QUEUE
from tests.doubles.destination import Destination
from tests.integration.sdk import Sdk, one
from tests.running import running_local_qstash, running_qstash_alone
from tests.waiting import eventually

DEFAULT, OTHER, *_ = (each.token for each in DEVELOPMENT_USERS.values())
NOWHERE = "http://127.0.0.1:1/"


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture
def alone() -> Iterator[str]:
    with running_qstash_alone() as url:
        yield url


def _publish_for_later(url: str, token: str) -> str:
    published = httpx.post(
        f"{url}/v2/publish/{NOWHERE}", headers={**_bearer(token), "Upstash-Delay": "1h"}
    )
    return str(published.json()["messageId"])


def _status(url: str, token: str, message_id: str) -> int:
    return httpx.get(f"{url}/v2/messages/{message_id}", headers=_bearer(token)).status_code


def test_each_user_has_keys_and_messages_of_their_own(alone: str, destination: Destination) -> None:
    for name, user in DEVELOPMENT_USERS.items():
        with closing(Sdk("sync", alone, user.token)) as sdk:
            keys = sdk("signing_key.get")
            assert (keys.current, keys.next) == (user.current_key, user.next_key)
            sdk("message.publish", url=f"{destination.url}/{name}", body="x")
        delivered = one(destination, f"/{name}")
        Receiver(user.current_key, user.next_key).verify(
            signature=delivered.headers["upstash-signature"], body="x"
        )
    message_id = _publish_for_later(alone, OTHER)
    assert [_status(alone, each, message_id) for each in (OTHER, DEFAULT)] == [200, 404]
    assert httpx.delete(f"{alone}/v2/messages", headers=_bearer(DEFAULT)).status_code == 200
    assert _status(alone, OTHER, message_id) == 200


def test_files_keep_the_users_apart(tmp_path: Path) -> None:
    with running_qstash_alone(tmp_path / "queue.db") as url:
        first = _publish_for_later(url, DEFAULT)
        assert not (tmp_path / "queue-testUser1.db").exists()
        other = _publish_for_later(url, OTHER)
        rotated = httpx.post(f"{url}/v2/keys/rotate", headers=_bearer(OTHER)).json()
    assert [each.name for each in tmp_path.glob("*.db")] == ["queue-testUser1.db", "queue.db"]
    with running_qstash_alone(tmp_path / "queue.db") as url:
        assert [_status(url, DEFAULT, each) for each in (first, other)] == [200, 404]
        assert [_status(url, OTHER, each) for each in (first, other)] == [404, 200]
        assert httpx.get(f"{url}/v2/keys", headers=_bearer(OTHER)).json() == rotated


def test_a_file_that_cannot_be_opened_later_is_told(tmp_path: Path) -> None:
    file = tmp_path / "queue-testUser1.db"
    with running_qstash_alone(tmp_path / "queue.db") as url:
        damages: tuple[Callable[[Path], None], ...] = (Path.mkdir, _damaged)
        for damage in damages:
            damage(file)
            for _ in range(2):
                refused = httpx.get(f"{url}/v2/keys", headers=_bearer(OTHER))
                assert refused.status_code == 503
                assert "process" not in refused.json()["error"]  # held by this one
            (file.rmdir if file.is_dir() else file.unlink)()
        eventually(lambda: httpx.get(f"{url}/v2/keys", headers=_bearer(OTHER)).status_code == 200)


def _damaged(path: Path) -> None:
    open_database(path, [QUEUE]).close()
    with closing(sqlite3.connect(path)) as file, file:
        file.execute("DROP TABLE messages")


def test_rotated_keys(destination: Destination) -> None:
    with running_local_qstash() as url, closing(Sdk("async", url)) as sdk:
        before = sdk("signing_key.get")
        after = sdk("signing_key.rotate")
        assert after.current == before.next
        assert after.next not in (before.current, before.next)
        assert sdk("signing_key.get") == after
        sdk("message.publish", url=f"{destination.url}/rotated", body="x")
        signature = one(destination, "/rotated").headers["upstash-signature"]
    # Who still has the keys from before a rotation accepts what is signed behind it.
    for keys in (before, after):
        Receiver(keys.current, keys.next).verify(signature=signature, body="x")


def _by_query(url: str, path: str, **headers: str) -> httpx.Response:
    return httpx.post(f"{url}/v2/publish/{path}&qstash_token={DEFAULT}&b=2", headers=headers)


def test_a_token_in_the_query(qstash_url: str, destination: Destination) -> None:
    assert _by_query(qstash_url, f"{destination.url}/query?a=1").status_code == 201
    assert one(destination, "/query?a=1&b=2")
    keys = httpx.get(f"{qstash_url}/v2/keys", params={"qstash_token": DEFAULT})
    assert keys.status_code == 200
    assert httpx.get(f"{qstash_url}/v2/keys?qstash_token=x").status_code == 401
    # The header counts. In either case no destination is told the token.
    refused = _by_query(qstash_url, f"{destination.url}/no?a=1", Authorization="Bearer x")
    assert refused.status_code == 401
    accepted = _by_query(qstash_url, f"{destination.url}/both?a=1", **_bearer(DEFAULT))
    assert accepted.status_code == 201
    assert one(destination, "/both?a=1&b=2")


@pytest.mark.parametrize(
    ("name", "value"),
    [("Origin", "https://evil.example"), ("Origin", "null"), ("Sec-Fetch-Site", "cross-site")],
)
def test_a_web_page_cannot_use_a_token_in_the_query(
    qstash_url: str, destination: Destination, name: str, value: str
) -> None:
    refused = _by_query(qstash_url, f"{destination.url}/page?a=1", **{name: value})
    assert refused.status_code == 403
    assert "Authorization" in refused.json()["error"]
    assert "access-control-allow-origin" not in refused.headers
    # A page may have a token that it is given: a browser asks the server first, which allows none.
    asked = httpx.options(
        f"{qstash_url}/v2/keys",
        headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "GET"},
    )
    assert "access-control-allow-origin" not in asked.headers
    assert destination.delivered == []


def test_only_a_queue_that_runs_alone_has_a_page(alone: str) -> None:
    page = httpx.get(f"{alone}/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "script-src 'self';" in page.headers["content-security-policy"]
    for name in ("page.js", "views.js", "page.css", "icon.svg"):
        assert httpx.get(f"{alone}/page/{name}").status_code == 200
    for path in ("/page/..%2f__init__.py", "/page/x.js", "/page/"):
        assert httpx.get(alone + path).status_code == 404
    assert httpx.get(f"{alone}/page/messages").status_code == 401
    assert httpx.get(f"{alone}/", headers={"Host": "evil.example"}).status_code == 403
    with running_local_qstash() as of_a_service:
        for path in ("/", "/page/users", "/page/page.js", "/page/messages"):
            answer = httpx.get(of_a_service + path, headers=_bearer(DEFAULT))
            assert answer.status_code == 404, path


def test_the_queue_of_a_service_keeps_no_message_that_has_ended(destination: Destination) -> None:
    with running_local_qstash() as url:
        answer = httpx.post(f"{url}/v2/publish/{destination.url}/x", headers=_bearer(DEFAULT))
        eventually(lambda: destination.at("/x"))
        path = f"{url}/v2/messages/{answer.json()['messageId']}"
        eventually(lambda: httpx.get(path, headers=_bearer(DEFAULT)).status_code == 404)
        assert httpx.get(f"{url}/v2/logs", headers=_bearer(DEFAULT)).json() == {"logs": []}


async def test_two_rotations_at_the_same_time_are_two(tmp_path: Path) -> None:
    database = open_database(tmp_path / "queue.db", [QUEUE])
    user = DEVELOPMENT_USERS["defaultUser"]
    account = Account(
        AccountSettings(
            token=user.token,
            current_key=user.current_key,
            next_key=user.next_key,
            database=database,
        )
    )
    first, second = await asyncio.gather(account.rotate_keys(), account.rotate_keys())
    assert (first["current"], second["current"]) == (user.next_key, first["next"])
    assert account.keys == second
    await account.aclose()
    await database.aclose()
