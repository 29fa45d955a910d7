"""The files for nginx and Caddy in deploy/, each in the real program: streams piece by piece, JSON
that is held, deliveries of the queue, addresses of callers, and /metrics closed to all."""

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from entrypoints.api_keys import new_key
from tests.doubles.upstream import DONE, Gate, Script, Upstream, finish, piece
from tests.end_to_end.ui_client import asking
from tests.redis_server import free_port
from tests.running import Client, Running, running_service, settings_for
from tests.waiting import eventually, within

pytestmark = pytest.mark.soak

DEPLOY = Path(__file__).parents[2] / "deploy"
KEY, ENTRY = new_key("alice")


def deployed(file: str, *replaced: tuple[str, str]) -> str:
    """One of deploy/, with places of this test for its own."""
    text = (DEPLOY / file).read_text()
    for theirs, here in replaced:
        assert theirs in text
        text = text.replace(theirs, here)
    return text


def nginx(folder: Path, front: int, back: int, *added: str) -> list[str]:
    """The command, its configuration ours but for ports, certificates and `added` lines."""
    ours = deployed(
        "nginx.conf",
        ("server 127.0.0.1:8000;", f"server 127.0.0.1:{back};"),
        ("listen 443 ssl;", "\n".join((f"listen 127.0.0.1:{front};", *added))),
    )
    temporary = " ".join(
        f"{kind}_temp_path {folder}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    configuration = folder / "nginx.conf"
    configuration.write_text(
        f"daemon off; master_process off; pid {folder}/pid; error_log {folder}/log;\n"
        f"events {{}}\nhttp {{ access_log {folder}/access; {temporary}\n"
        # What an http block may have for the other servers in it.
        "gzip on; gzip_types *; gzip_proxied any; gzip_min_length 1; proxy_read_timeout 1s;\n"
        f"{ours}\n}}\n"
    )
    return ["nginx", "-c", str(configuration), "-p", str(folder), "-e", f"{folder}/log"]


def caddy(folder: Path, front: int, back: int, *added: str) -> list[str]:
    ours = deployed(
        "Caddyfile",
        ("127.0.0.1:8000", f"127.0.0.1:{back}"),
        ("longtask.example.org {", "\n".join((f"http://127.0.0.1:{front} {{", *added))),
    )
    configuration = folder / "Caddyfile"
    configuration.write_text("{\n\tadmin off\n}\n" + ours)
    return ["caddy", "run", "--adapter", "caddyfile", "--config", str(configuration)]


@contextmanager
def running_proxy(command: list[str], folder: Path, url: str) -> Iterator[None]:
    if shutil.which(command[0]) is None:
        pytest.skip(f"no {command[0]} (Debian: apt-get install nginx-light caddy)")
    with (folder / "output").open("w") as output:
        process = subprocess.Popen(  # noqa: S603
            command,
            stdout=output,
            stderr=output,
            cwd=folder,
            env={"PATH": "/usr/sbin:/usr/bin:/bin", "HOME": str(folder)},
        )
        try:

            def answers() -> bool:
                assert process.poll() is None, (folder / "output").read_text()
                try:
                    return httpx.get(f"{url}/healthz").status_code == 200
                except httpx.HTTPError:
                    return False

            eventually(answers)
            yield
        finally:
            process.terminate()
            process.wait(within(10))


@pytest.fixture(params=[nginx, caddy], ids=["nginx", "caddy"])
def behind(
    request: pytest.FixtureRequest, upstream: Upstream, tmp_path: Path
) -> Iterator[tuple[str, Running, Path]]:
    """The proxy's address, the service behind it, and the proxy's folder. The queue delivers
    through the proxy."""
    make: Callable[[Path, int, int], list[str]] = request.param
    front, back = free_port(), free_port()
    url = f"http://127.0.0.1:{front}"
    settings = settings_for(
        port=back,
        base_url=url,
        openai_base_url=upstream.url,
        api_keys=ENTRY,
        stream_secret="a secret of forty characters, or even more",
        trusted_proxies="127.0.0.1",
        address_limits="starts=2",
        sse_ping_interval=0.2,
    )
    with (
        running_service(settings) as service,
        running_proxy(make(tmp_path, front, back), tmp_path, url),
    ):
        yield url, service, tmp_path


def test_a_stream_comes_piece_by_piece(
    behind: tuple[str, Running, Path], upstream: Upstream
) -> None:
    url, _, folder = behind
    gates = [Gate() for _ in range(2)]
    upstream.then(
        Script([piece("one"), gates[0], piece("two"), gates[1], piece("three"), finish(), DONE])
    )
    with Client(url) as client:
        client.http.headers["Authorization"] = f"Bearer {KEY}"
        link = client.record(client.start())["streamUrl"]
    with httpx.stream("GET", url + link, headers={"Accept-Encoding": "gzip"}) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert "content-encoding" not in stream.headers
        lines = stream.iter_lines()
        assert any('"data":"one"' in line for line in lines)
        gates[0].open()
        assert any('"data":"two"' in line for line in lines)
        gates[1].open()
        assert any('"type":"end"' in line for line in lines)
    written = "".join(each.read_text() for each in folder.iterdir() if each.is_file())
    assert link.partition("token=")[2] not in written, "the proxy's log holds a link"


def test_changes_come_one_by_one(behind: tuple[str, Running, Path], upstream: Upstream) -> None:
    url, _, _ = behind
    gate = Gate()
    upstream.then(Script([piece("one"), gate, finish(), DONE]))
    headers = {"Authorization": f"Bearer {KEY}", "Accept-Encoding": "gzip"}
    with (
        httpx.Client(base_url=url, headers=headers) as client,
        client.stream("GET", "/api/tasks/events") as stream,
    ):
        assert "content-encoding" not in stream.headers
        lines = stream.iter_lines()
        assert any('"type":"connected"' in line for line in lines)
        client.post("/api/tasks/start", json={"prompt": "Hi."})
        assert any('"status":"running"' in line for line in lines)
        assert any(line == ": keep-alive" for line in lines)
        gate.open()
        assert any('"status":"completed"' in line for line in lines)


def openai_request(url: str, **fields: Any) -> dict[str, Any]:
    """What httpx needs to start a response."""
    headers = {"Authorization": f"Bearer {KEY}", "Accept-Encoding": "gzip"}
    body = {"model": "m", "input": "Hi.", **fields}
    return {"method": "POST", "url": f"{url}/v1/responses", "headers": headers, "json": body}


def test_a_response_is_streamed_event_by_event(
    behind: tuple[str, Running, Path], upstream: Upstream
) -> None:
    url, _, _ = behind
    gate = Gate()
    upstream.then(Script([piece("one"), gate, piece("two"), finish(), DONE]))
    with httpx.stream(**openai_request(url, stream=True, background=True)) as stream:
        assert "content-encoding" not in stream.headers
        lines = stream.iter_lines()
        told = next(line for line in lines if '"delta":"one"' in line)
        assert any(line == ": keep-alive" for line in lines)
        number = json.loads(told.removeprefix("data: "))["sequence_number"]
    address = f"{url}/v1/responses/resp_{stream.headers['x-longtask-task-id']}"
    key, query = {"Authorization": f"Bearer {KEY}"}, f"stream=true&starting_after={number}"
    with httpx.stream("GET", f"{address}?{query}", headers=key) as stream:
        lines = stream.iter_lines()
        assert any(line == ": keep-alive" for line in lines)
        gate.open()
        assert any('"delta":"two"' in line for line in lines)
        assert any("response.completed" in line for line in lines)
    assert httpx.delete(address, headers=key).json()["deleted"]
    assert httpx.get(address, headers=key).status_code == 404


def test_a_chat_is_streamed_chunk_by_chunk(
    behind: tuple[str, Running, Path], upstream: Upstream
) -> None:
    url, _, _ = behind
    gate = Gate()
    upstream.then(Script([piece("one"), gate, piece("two"), finish(), DONE]))
    headers = {"Authorization": f"Bearer {KEY}", "Accept-Encoding": "gzip"}
    with httpx.stream("POST", f"{url}/api/chat", headers=headers, json=asking("c")) as stream:
        assert "content-encoding" not in stream.headers
        lines = stream.iter_lines()
        assert any('"delta":"one"' in line for line in lines)
        assert any(line == ": keep-alive" for line in lines)
    with httpx.stream("GET", f"{url}/api/chat/c/stream?startIndex=4", headers=headers) as stream:
        gate.open()
        rest = list(stream.iter_lines())
    assert not any('"delta":"one"' in line for line in rest)
    assert any('"delta":"two"' in line for line in rest)
    assert "data: [DONE]" in rest


def test_a_held_response_is_kept_alive(
    behind: tuple[str, Running, Path], upstream: Upstream
) -> None:
    """What lies between may give up on a response that says nothing."""
    url, service, _ = behind
    direct = httpx.request(**openai_request(service.url))
    assert direct.headers["x-accel-buffering"] == "no"
    gate = Gate()
    upstream.then(Script([piece("one"), gate, finish(), DONE]))
    with httpx.stream(**openai_request(url)) as held:
        assert "content-encoding" not in held.headers
        chunks = held.iter_bytes()
        assert [next(chunks) for _ in range(5)] == [b" "] * 5
        gate.open()
        assert json.loads(b"".join(chunks))["status"] == "completed"


def test_a_record_that_is_waited_for_is_kept_alive(
    behind: tuple[str, Running, Path], upstream: Upstream
) -> None:
    url, _, _ = behind
    gate = Gate()
    upstream.then(Script([piece("one"), gate, finish(), DONE]))
    headers = {"Authorization": f"Bearer {KEY}", "Accept-Encoding": "gzip"}
    with httpx.Client(base_url=url, headers=headers) as client:
        task = client.post("/api/tasks/start", json={"prompt": "Hi."}).json()["taskId"]
        with client.stream("GET", f"/api/tasks/{task}/result?wait=300") as held:
            assert "content-encoding" not in held.headers
            chunks = held.iter_bytes()
            assert [next(chunks) for _ in range(5)] == [b" "] * 5
            gate.open()
            record = json.loads(b"".join(chunks))
    assert (record["status"], record["text"]) == ("completed", "one")


def test_callers_keep_their_addresses_and_figures_stay_inside(
    behind: tuple[str, Running, Path],
) -> None:
    url, service, _ = behind
    assert httpx.get(f"{url}/metrics").status_code in (403, 404)
    assert httpx.get(f"{service.url}/metrics").status_code == 200
    # From an address that is not the proxy's own, which the service believes.
    elsewhere = httpx.HTTPTransport(local_address="127.0.0.2")
    key = {"Authorization": f"Bearer {KEY}"}
    with httpx.Client(base_url=url, headers=key, transport=elsewhere) as client:
        answers = [
            client.post(
                "/api/tasks/start",
                json={"prompt": "Hi."},
                # What a client says of itself counts for nothing.
                headers={"X-Forwarded-For": f"203.0.113.{n}"},
            )
            for n in range(3)
        ]
        assert [each.status_code for each in answers] == [202, 202, 429]

        def completed() -> bool:
            records = [client.get(each.headers["Location"]).json() for each in answers[:2]]
            return all(record["status"] == "completed" for record in records)

        eventually(completed)  # delivered through the proxy
