"""`longtask ask`: what it writes where, and how it ends."""

import re
import signal
from pathlib import Path

import pytest

from entrypoints.api_keys import new_key
from entrypoints.client.server import with_scheme
from tests.commands import invoke
from tests.doubles.upstream import Gate, Script, Upstream, answer, piece, refusal
from tests.processes import found_in, process_at_a_terminal, process_of, run_to_its_end
from tests.running import Running, running_service, settings_for
from tests.tcp_proxy import TcpProxy
from tests.waiting import eventually, within

PROMPT = "How deep is the sea?"


@pytest.mark.soak
def test_ask_runs_a_service_of_its_own(tmp_path: Path) -> None:
    done = run_to_its_end(tmp_path, "ask", PROMPT, LONGTASK_DEMO_SPEED="0")
    assert done.returncode == 0, done.stderr
    assert "Demo model" in done.stdout
    assert PROMPT in done.stdout
    assert re.search(r"^task task_\d+_[0-9a-f]{24}$", done.stderr, re.MULTILINE)
    assert "running" in done.stderr
    assert "Traceback" not in done.stderr


def test_ask_a_running_server(tmp_path: Path, service: Running) -> None:
    done = run_to_its_end(tmp_path, "ask", "Hi.", "--server", service.url)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "Hello, world.\n"
    assert "stop: test-model" in done.stderr
    assert "5 tokens" in done.stderr


def test_ask_fails_when_the_task_does(tmp_path: Path, service: Running, upstream: Upstream) -> None:
    upstream.then(refusal(401, "invalid_api_key"))
    done = invoke(tmp_path, "ask", "Hi.", LONGTASK_SERVER=service.url)
    assert done.exit_code == 1
    assert "failed: The model's server did not accept the API key. (invalid_api_key)" in done.stderr


@pytest.mark.soak
def test_ask_tells_of_a_lost_attempt(tmp_path: Path, service: Running, upstream: Upstream) -> None:
    upstream.then(Script([piece("lost")], cut=True))
    with process_at_a_terminal(tmp_path, "ask", "Hi.", "--server", service.url) as (
        process,
        terminal,
        log,
    ):
        assert "lost\nHello, world.\n" in terminal.rest()
        assert process.wait(within(10)) == 0
    assert "starting over: attempt 2" in log.read_text()


def test_ask_writes_to_a_file_only_the_text_that_counts(
    tmp_path: Path, service: Running, upstream: Upstream
) -> None:
    upstream.then(Script([piece("lost")], cut=True), Script([piece("lost")], cut=True))
    done = invoke(tmp_path, "ask", "Hi.", "--server", service.url)
    assert done.exit_code == 0
    assert done.stdout == "Hello, world.\n"
    upstream.then(Script([piece("lost")], cut=True), refusal(401, "invalid_api_key"))
    done = invoke(tmp_path, "ask", "Hi.", "--server", service.url)
    assert (done.exit_code, done.stdout) == (1, "")


@pytest.mark.parametrize(("reason", "said"), [("length", "reason first"), ("stop", "is empty")])
def test_an_empty_answer_is_no_success(
    tmp_path: Path, service: Running, upstream: Upstream, reason: str, said: str
) -> None:
    upstream.then(Script(answer(reason=reason)))
    done = invoke(tmp_path, "ask", "Hi.", "--server", service.url)
    assert (done.exit_code, done.stdout) == (1, "")
    assert f"{reason}: " in done.stderr
    assert said in done.stderr


@pytest.mark.parametrize(
    ("given", "advice"),
    [
        ((), "Set a larger limit with --max-tokens"),
        (("--max-tokens", "9"), "Raise --max-tokens, or leave it out"),
    ],
)
def test_the_advice_fits_what_was_given(
    tmp_path: Path, service: Running, upstream: Upstream, given: tuple[str, ...], advice: str
) -> None:
    upstream.then(Script(answer(reason="length")))
    done = invoke(tmp_path, "ask", "Hi.", *given, "--server", service.url)
    assert done.stderr.endswith(f"{advice}\n")


@pytest.mark.parametrize(("status", "doubted"), [(404, True), (200, True), (502, False)])
def test_another_server_is_told_from_a_proxy(
    tmp_path: Path, upstream: Upstream, status: int, doubted: bool
) -> None:
    upstream.then(Script([b"<html>Welcome</html>"], status))
    done = invoke(tmp_path, "ask", "Hi.", "--server", upstream.url)
    assert done.exit_code == 1
    assert f"the server responded with {status}" in done.stderr
    assert ("is --server right?" in done.stderr) is doubted


def test_it_says_how_to_give_a_key(tmp_path: Path) -> None:
    keys = {"api_keys": new_key("alice")[1], "stream_secret": "x" * 40}
    with running_service(settings_for(**keys)) as guarded:
        done = invoke(tmp_path, "ask", "Hi.", "--server", guarded.url)
    assert done.exit_code == 1
    assert "401: An API key is required" in done.stderr
    assert "--key or LONGTASK_KEY" in done.stderr


@pytest.mark.parametrize(
    ("given", "url"),
    [
        (" http://localhost:8000\n", "http://localhost:8000"),
        ("localhost:8000", "http://localhost:8000"),
        ("127.0.0.1:8000/prefix", "http://127.0.0.1:8000/prefix"),
        ("[::1]:8000", "http://[::1]:8000"),
        ("longtask.example.org", "https://longtask.example.org"),
        ("http://longtask.example.org", "http://longtask.example.org"),
    ],
)
def test_a_server_without_a_scheme_gets_one(given: str, url: str) -> None:
    assert with_scheme(given) == url


@pytest.mark.parametrize("given", ["http://[", "ftp://x", "localhost:99999", "", "http://"])
def test_what_is_no_address_is_told(tmp_path: Path, given: str) -> None:
    done = invoke(tmp_path, "ask", "Hi.", "--server", given)
    assert done.exit_code == 1
    assert "is not the URL of a service" in done.stderr


def test_ask_needs_no_scheme(tmp_path: Path, service: Running) -> None:
    done = invoke(tmp_path, "ask", "Hi.", "--server", service.url.removeprefix("http://"))
    assert (done.exit_code, done.stdout) == (0, "Hello, world.\n")


@pytest.mark.soak
def test_ask_goes_on_where_its_connection_broke(
    tmp_path: Path, service: Running, upstream: Upstream
) -> None:
    gates = [Gate(), Gate()]
    upstream.then(Script([piece("One "), gates[0], piece("two "), gates[1], *answer("three.")]))
    port = int(service.url.rpartition(":")[2])
    with (
        TcpProxy(port).running() as between,
        process_at_a_terminal(tmp_path, "ask", "Hi.", "--server", between.url) as (
            process,
            terminal,
            log,
        ),
    ):
        assert terminal.read(4) == "One "
        between.cut()
        gates[0].open()
        assert terminal.read(4) == "two "
        between.refusing = True
        between.cut()
        gates[1].open()
        eventually(lambda: log.read_text().count("connection lost") >= 2)
        between.refusing = False
        assert terminal.rest() == "three.\n"
        assert process.wait(within(10)) == 0
    assert "resuming after the last event" in log.read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["ask", "  "], "prompt: must not be empty"),
        (["ask", "Hi.", "--max-tokens", "0"], "maxTokens: must be from 1 to 10000000"),
    ],
)
def test_ask_says_what_is_wrong(
    tmp_path: Path, service: Running, words: list[str], said: str
) -> None:
    done = invoke(tmp_path, *words, "--server", service.url)
    assert done.exit_code == 1
    assert said in done.stderr


def test_ask_a_server_that_is_not_there(tmp_path: Path) -> None:
    done = invoke(tmp_path, "ask", "Hi.", "--server", "http://127.0.0.1:1")
    assert done.exit_code == 1
    assert "cannot reach http://127.0.0.1:1 (ConnectError): is the service running?" in done.stderr


def test_interrupting_ask_cancels_the_task(
    tmp_path: Path, service: Running, upstream: Upstream
) -> None:
    gate = Gate()
    upstream.then(Script([piece("Kept"), gate]))
    with process_of(tmp_path, "ask", "Hi.", "--server", service.url) as (process, log):
        task_id = found_in(log, r"task (task_\S+)")
        service.client.events(task_id, until=lambda seen: "content" in seen.types)
        process.send_signal(signal.SIGINT)
        assert process.stdout.read() == "Kept\n"
        assert process.wait(within(10)) == 130
    assert service.client.record(task_id)["status"] == "cancelled"
    assert upstream.received[0].gone.wait(within(5))


@pytest.mark.soak
def test_ask_sends_no_key_of_the_environment_where_a_foreign_folder_says(
    tmp_path: Path, upstream: Upstream
) -> None:
    (tmp_path / ".env").write_text(f"OPENAI_BASE_URL={upstream.url}\n")
    refused = run_to_its_end(tmp_path, "ask", "Hi.", OPENAI_API_KEY="sk-planted-secret")
    assert refused.returncode == 2
    assert "OPENAI_BASE_URL" in refused.stderr
    assert upstream.received == []
    asked = run_to_its_end(tmp_path, "ask", "Hi.")
    assert asked.returncode == 0
    assert f"settings of {tmp_path / '.env'}: OPENAI_BASE_URL" in asked.stderr
    assert "sk-planted" not in upstream.received[0].headers["authorization"]
