"""The local QStash under names that are not its own: what a page gets whose name was made to point
at this machine (DNS rebinding)."""

import socket
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from adapters.qstash import DEVELOPMENT
from tests.doubles.destination import Destination
from tests.integration.sdk import verified
from tests.processes import found_in, process_of, run_to_its_end
from tests.running import running_local_qstash
from tests.waiting import eventually, within

TOKEN = {"Authorization": f"Bearer {DEVELOPMENT.token}"}


def test_a_rebound_name_publishes_nothing(qstash_url: str, destination: Destination) -> None:
    port = urlsplit(qstash_url).port
    for host in ("evil.example", f"evil.example:{port}", "127.0.0.1.evil.example", "[::1", ""):
        answer = httpx.post(
            f"{qstash_url}/v2/publish/{destination.url}/inside",
            content="x",
            headers={**TOKEN, "Host": host},
        )
        assert answer.status_code == 403, host
        assert "--allowed-host" in answer.json()["error"]
    # What is published now arrives; by then the others would have, too.
    httpx.post(f"{qstash_url}/v2/publish/{destination.url}/after", headers=TOKEN)
    eventually(lambda: destination.at("/after"))
    assert destination.at("/inside") == []


def test_the_queue_of_a_service_delivers_to_it_alone(destination: Destination) -> None:
    """Whatever the messages say: its file may have been written by others."""
    with running_local_qstash(service_url=f"{destination.url}/now") as url:
        for before in (
            "http://127.0.0.1:1/api/qstash/webhook",
            "http://127.0.0.1:1/prefix/api/qstash/failure",
            f"{destination.url}/inside",
        ):
            httpx.post(f"{url}/v2/publish/{before}", headers=TOKEN)
        eventually(lambda: len(destination.delivered) == 3)
    paths = ["/now/api/qstash/failure", "/now/api/qstash/webhook", "/now/api/qstash/webhook"]
    assert sorted(each.path for each in destination.delivered) == paths
    for each in destination.delivered:
        verified(each, f"{destination.url}{each.path}")


def test_the_host_is_looked_at_before_the_token_and_the_path(qstash_url: str) -> None:
    for path in ("/v2/keys", "/nowhere", "/v2/publish/http://127.0.0.1:1/"):
        assert httpx.get(qstash_url + path, headers={"Host": "evil.example"}).status_code == 403


def test_an_address_and_localhost_are_its_own(qstash_url: str) -> None:
    for host in ("127.0.0.1", "192.0.2.1:8080", "[::1]", "[::1]:8080", "localhost", "LocalHost:1"):
        headers = {**TOKEN, "Host": host}
        assert httpx.get(f"{qstash_url}/v2/keys", headers=headers).status_code == 200, host


def test_two_hosts_are_none(qstash_url: str) -> None:
    parts = urlsplit(qstash_url)
    with socket.create_connection(
        (parts.hostname or "", parts.port or 0), timeout=within(10)
    ) as raw:
        raw.sendall(
            b"GET /v2/keys HTTP/1.1\r\nHost: evil.example\r\nHost: 127.0.0.1\r\n"
            b"Authorization: Bearer " + DEVELOPMENT.token.encode() + b"\r\n\r\n"
        )
        status = raw.recv(64).split(b" ")[1]
    assert status in (b"400", b"403")


@pytest.mark.soak
def test_names_are_given_by_options(tmp_path: Path) -> None:
    options = ("--port", "0", "--json-logs", "--allowed-host", "qstash", "--allowed-host", "Q.test")
    with process_of(tmp_path, "local-qstash", *options) as (_, log):
        url = found_in(log)
        for host, status in (("qstash:8080", 200), ("q.test", 200), ("other", 403)):
            answer = httpx.get(f"{url}/v2/keys", headers={**TOKEN, "Host": host})
            assert answer.status_code == status, host


def test_what_is_no_name_is_refused(tmp_path: Path) -> None:
    done = run_to_its_end(tmp_path, "local-qstash", "--allowed-host", "http://qstash")
    assert done.returncode == 2
    assert "--allowed-host" in done.stderr
