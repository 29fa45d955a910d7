"""The commands as a person runs them: in processes of their own, but for what needs none."""

import json
import re
import signal
import socket
import subprocess
from pathlib import Path

import httpx
import pytest

from entrypoints.api_keys import name_of
from entrypoints.settings import load_settings
from tests.commands import invoke
from tests.doubles.upstream import Upstream, refusal
from tests.processes import (
    environment,
    found_in,
    longtask,
    process_of,
    run_to_its_end,
)
from tests.running import Client, Running
from tests.waiting import within

SECRET = "sk-planted-secret"
PROMPT = "planted prompt: how deep is the sea?"


def test_serve_on_the_embedded_default_and_stop(tmp_path: Path) -> None:
    """One command, no account, no key. The log is JSON here, every line of it, and holds neither
    the prompt nor the key."""
    with process_of(
        tmp_path, "serve", "--port", "0", LONGTASK_LOG_FORMAT="json", LONGTASK_DEMO_SPEED="0"
    ) as (process, log):
        with Client(found_in(log)) as client:
            task_id = client.start(PROMPT)
            seen = client.events(task_id)
            assert "Demo model" in seen.text
            assert client.http.get("/readyz").json()["checks"] == {"store": "ok", "queue": "ok"}
            query = {"taskId": "by-hand", "prompt": PROMPT}
            assert client.http.get("/api/qstash/webhook", params=query).status_code == 200
            request_id = "my-request-7"
            client.http.get("/healthz?prompt=" + PROMPT, headers={"X-Request-Id": request_id})
            address = client.http.base_url
        with socket.create_connection((address.host, address.port)) as other:
            other.sendall(b"not HTTP\r\n\r\n")
            assert other.recv(1024).startswith(b"HTTP/1.1 400")
        process.send_signal(signal.SIGTERM)
        assert process.wait(within(10)) == 0
    text = log.read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert PROMPT not in text
    assert "planted" not in text
    assert [lines[0]["event"], lines[-1]["event"]] == ["listening", "stopped"]
    assert {"uvicorn.error", "application.make_attempt"} <= {line["logger"] for line in lines}
    ran = [line for line in lines if line["event"] == "attempt completed"]
    assert ran[0]["task_id"] == task_id
    assert ran[0]["attempt"] == 1
    assert ran[0]["message_id"].startswith("msg_")
    assert ran[0]["request_id"]
    assert {"timestamp", "level"} <= ran[0].keys()


@pytest.mark.soak
def test_a_log_that_cannot_be_written_stops_no_task(tmp_path: Path) -> None:
    with subprocess.Popen(  # noqa: S603
        longtask("serve", "--port", "0"),
        cwd=tmp_path,
        env=environment(LONGTASK_LOG_FORMAT="json", LONGTASK_DEMO_SPEED="0"),
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stderr is not None
        with process.stderr as log:
            url = json.loads(log.readline())["url"]
        try:
            with Client(url) as client:
                client.wait_for(client.start(PROMPT), "completed")
            process.terminate()
            process.wait(within(10))
        finally:
            process.kill()


@pytest.mark.soak
def test_a_running_server_with_a_key_never_logs_it(tmp_path: Path, upstream: Upstream) -> None:
    upstream.then(refusal(401, "invalid_api_key", f"Incorrect API key {SECRET}"), refusal(500))
    settings = {
        "OPENAI_API_KEY": SECRET,
        "OPENAI_BASE_URL": upstream.url,
        "LONGTASK_LOG_FORMAT": "json",
        "LONGTASK_LOG_LEVEL": "INFO",
        "LONGTASK_QSTASH_RETRY_DELAY": "10",
    }
    with process_of(tmp_path, "serve", "--port", "0", **settings) as (process, log):
        with Client(found_in(log)) as client:
            client.wait_for(client.start(PROMPT), "failed")
            client.wait_for(client.start(PROMPT), "completed")
        process.send_signal(signal.SIGINT)
        assert process.wait(within(10)) == 0
    text = log.read_text()
    assert "attempt failed" in text
    assert "attempt completed" in text
    for secret in (SECRET, PROMPT, "Hello, world", "embedded_", "sig_"):
        assert secret not in text


@pytest.mark.soak
def test_a_port_that_is_taken_is_one_clear_error(tmp_path: Path, service: Running) -> None:
    port = service.url.rpartition(":")[2]
    done = run_to_its_end(tmp_path, "serve", "--port", port)
    assert done.returncode == 1
    expected = f"cannot listen on 127.0.0.1 port {port}: Address already in use"
    assert done.stderr == f"Error: {expected}; set LONGTASK_PORT to another port\n"
    for words, setting in (
        (["serve", "--port", "0"], "LONGTASK_LOCAL_QSTASH_PORT"),
        (["local-qstash", "--port", port], "--port"),
    ):
        done = run_to_its_end(tmp_path, *words, LONGTASK_LOCAL_QSTASH_PORT=port)
        assert done.returncode == 1
        assert done.stderr == f"Error: {expected}; set {setting} to another port\n"


def test_contradictory_settings_are_all_told_at_once(tmp_path: Path) -> None:
    done = invoke(
        tmp_path,
        "serve",
        QSTASH_TOKEN="t",
        BASE_URL="ftp://x",
        LONGTASK_PORT="99999",
        LONGTASK_LEASE="soon",
    )
    assert done.exit_code == 2
    assert "LONGTASK_PORT" in done.stderr
    assert "LONGTASK_LEASE" in done.stderr
    alone = {"QSTASH_TOKEN": "t", "QSTASH_NEXT_SIGNING_KEY": "planted-key"}
    done = invoke(tmp_path, "serve", OPENAI_BASE_URL="ftp://x", **alone)
    assert done.exit_code == 2
    for named in (
        "go together: only QSTASH_NEXT_SIGNING_KEY is set",
        "BASE_URL is required",
        "OPENAI_BASE_URL: must be",
    ):
        assert named in done.stderr


def test_config_shows_settings_and_no_secret(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"OPENAI_API_KEY={SECRET}\nLONGTASK_PORT=8123\nQSTASH_TOKEN=\n")
    done = invoke(tmp_path, "config")
    assert done.exit_code == 0
    assert "OPENAI_API_KEY=(set)" in done.stdout
    assert "LONGTASK_PORT=8123" in done.stdout
    assert "# queue: local QStash" in done.stdout
    assert "# model: OpenAI" in done.stdout
    assert "QSTASH_TOKEN=\n" in done.stdout
    assert SECRET not in done.stdout + done.stderr


def test_local_qstash_runs_alone(tmp_path: Path) -> None:
    with process_of(tmp_path, "local-qstash", "--port", "0", "--json-logs") as (process, log):
        url = found_in(log)
        said = "".join(process.stdout.readline() for _ in range(6))
        assert f"QSTASH_URL={url}\n" in said
        token = re.search(r"QSTASH_TOKEN=(\S+)", said)
        assert token is not None
        keys = httpx.get(f"{url}/v2/keys", headers={"Authorization": f"Bearer {token[1]}"})
        assert f"QSTASH_CURRENT_SIGNING_KEY={keys.json()['current']}" in said
        assert httpx.get(f"{url}/v2/keys").status_code == 401
        process.send_signal(signal.SIGTERM)
        assert process.wait(within(10)) == 0


@pytest.mark.soak
def test_a_proxy_for_the_outside_is_not_asked_for_this_machine(
    tmp_path: Path, service: Running
) -> None:
    """HTTP_PROXY without NO_PROXY: the queue delivers, the doctor reaches the service, and ask the
    server."""
    proxy = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), "http://127.0.0.1:1")
    done = run_to_its_end(tmp_path, "ask", PROMPT, LONGTASK_DEMO_SPEED="0", **proxy)
    assert done.returncode == 0, done.stderr
    assert "Demo model" in done.stdout
    done = run_to_its_end(tmp_path, "ask", "Hi.", "--server", service.url, **proxy)
    assert done.stdout == "Hello, world.\n"
    port = service.url.rpartition(":")[2]
    done = run_to_its_end(tmp_path, "doctor", LONGTASK_PORT=port, **proxy)
    assert "ok   address" in done.stdout


def test_a_new_key_goes_into_a_file_of_settings_as_it_is(tmp_path: Path) -> None:
    """With >>, more than once, behind a line without an end; and no key stands in the file."""
    file = tmp_path / ".env"
    file.write_text("LONGTASK_PORT=8123")
    keys, secrets_ = [], set()
    for name in ("alice", "bob", "alice"):
        made = invoke(tmp_path, "key", "new", name)
        assert made.exit_code == 0, made.stderr
        keys.append(made.stderr.splitlines()[-1])
        with file.open("a") as added:
            added.write(made.stdout)
        access = load_settings(env_file=file).access
        assert [name_of(each, access.api_keys) for each in keys] == ["alice", "bob", "alice"][
            : len(keys)
        ]
        assert access.stream_secret is not None
        secrets_.add(access.stream_secret.get_secret_value())
    assert load_settings(env_file=file).service.port == 8123
    assert len(secrets_) == 1
    assert not any(key in file.read_text() for key in keys)
    assert all(re.fullmatch(r"(LONGTASK_\w+=\S+)?", line) for line in file.read_text().splitlines())


def test_a_plain_key_of_a_trial_is_hashed_beside_a_new_one(tmp_path: Path) -> None:
    plain = "lt_a_key_of_a_trial_planted"
    made = invoke(tmp_path, "key", "new", "bob", LONGTASK_API_KEYS=f"alice:{plain}")
    assert "LONGTASK_API_KEYS=alice:sha256:" in made.stdout
    assert plain not in made.stdout + made.stderr


@pytest.mark.soak
def test_a_misspelt_setting_is_warned_of(tmp_path: Path) -> None:
    for command in ("config", "doctor"):
        done = invoke(tmp_path, command, LONGTASK_PROT="1")
        assert "is LONGTASK_PORT meant?" in done.stdout + done.stderr
    for arguments in (["config"], ["doctor"], ["serve"], ["ask", "Hi."]):
        done = invoke(tmp_path, *arguments, LONGTASK_PROT="1", QSTASH_TOKEN="t")
        assert "BASE_URL is required" in done.stderr
        assert done.stderr.count("is LONGTASK_PORT meant?") == 1
    with process_of(
        tmp_path, "serve", "--port", "0", LONGTASK_LOG_FORMAT="json", LONGTASK_PROT="1"
    ) as (_, log):
        found_in(log)
        assert "is LONGTASK_PORT meant?" in log.read_text()
