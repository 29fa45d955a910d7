"""Keys that are added to a file and withdrawn from it while the service runs."""

import os
import re
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from entrypoints import valid_keys
from entrypoints.api_keys import new_key
from entrypoints.keys_file import HEADER
from tests.commands import invoke
from tests.doubles.upstream import DONE, Gate, Script, Upstream, finish, piece
from tests.end_to_end.guarded import ALICE, ALICES_ENTRY, BOB, BOBS_ENTRY, SECRET, as_bearer
from tests.processes import found_in, process_of
from tests.running import Running, Seen, running_service, settings_for
from tests.waiting import eventually, within


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys"


@pytest.fixture
def service(file: Path, upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    """Alice has a key in its file."""
    monkeypatch.setattr(valid_keys, "PAUSE", 0.05)
    file.write_text(f"{HEADER}\n{ALICES_ENTRY}\n")
    settings = settings_for(
        openai_base_url=upstream.url, api_keys_file=str(file), stream_secret=SECRET
    )
    with running_service(settings) as running:
        yield running


def status_of(url: str, key: str | None) -> int:
    headers = {} if key is None else as_bearer(key)
    path = f"{url}/api/tasks/task_1_unknown"
    return httpx.get(path, headers=headers, timeout=within(20)).status_code


def admitted(service: Running, *keys: str) -> bool:
    """Whether the service admits callers with these keys and refuses all others."""
    found = [key for key in (ALICE, BOB, None) if status_of(service.url, key) != 401]
    return found == list(keys)


def lines_of(caplog: pytest.LogCaptureFixture, event: str) -> list[str]:
    return [line for line in caplog.messages if event in line]


def test_a_key_from_the_command_line_comes_and_goes(service: Running, file: Path) -> None:
    here = file.parent
    assert admitted(service, ALICE)
    made = invoke(here, "key", "new", "carol", "--file", str(file), LONGTASK_STREAM_SECRET=SECRET)
    assert (made.exit_code, made.stdout) == (0, f"\nLONGTASK_API_KEYS_FILE={file}\n")
    carol = made.stderr.split()[-1]
    eventually(lambda: status_of(service.url, carol) == 404)
    assert carol not in file.read_text()
    withdrawn = invoke(here, "key", "withdraw", "carol", "--file", str(file))
    assert withdrawn.exit_code == 0
    eventually(lambda: status_of(service.url, carol) == 401)
    assert admitted(service, ALICE)
    # The last one goes, too, and the service refuses every caller.
    assert invoke(here, "key", "withdraw", "alice", "--file", str(file)).exit_code == 0
    eventually(lambda: admitted(service))
    assert file.read_text() == f"{HEADER}\n"


def test_what_a_withdrawn_owner_has_opened_ends_and_what_it_started_goes_on(
    service: Running, file: Path, upstream: Upstream
) -> None:
    gates = [Gate(), Gate()]
    upstream.then(*(Script([piece("a"), gate, piece("b"), finish(), DONE]) for gate in gates))
    http = service.client.http
    http.headers.update(as_bearer(ALICE))
    begun = http.post("/api/tasks/start", json={"prompt": "Hi."}).json()
    task, link = begun["taskId"], begun["streamUrl"]
    token = http.post("/api/chat/a/token").json()["token"]
    seen: list[Seen] = []
    held: list[Any] = []

    def follow() -> None:
        seen.append(service.client.events(task))

    def hold() -> None:
        try:
            held.append(
                httpx.post(
                    f"{service.url}/v1/responses",
                    json={"model": "m", "input": "Hi."},
                    headers=as_bearer(ALICE),
                    timeout=within(20),
                )
            )
        except httpx.HTTPError as error:
            held.append(error)

    threads = [threading.Thread(target=each, daemon=True) for each in (follow, hold)]
    for thread in threads:
        thread.start()
    for gate in gates:
        assert gate.reached.wait(within(10))
    eventually(lambda: "longtask_open_streams 2.0" in http.get("/metrics").text)
    file.write_text(f"{BOBS_ENTRY}\n")
    for thread in threads:
        thread.join(within(20))
        assert not thread.is_alive(), "what was open has ended"
    assert [event.data["type"] for event in seen[0].events][-1] != "end"
    assert isinstance(held[0], httpx.TransportError), "broken off"
    eventually(lambda: "longtask_open_streams 0.0" in http.get("/metrics").text)
    assert admitted(service, BOB)
    assert httpx.get(service.url + link).status_code == 401
    stream = httpx.get(f"{service.url}/api/chat/a/stream", headers=as_bearer(token))
    assert stream.status_code == 401
    for gate in gates:
        gate.open()
    new = file.with_name("new")
    new.write_text(ALICES_ENTRY)
    new.replace(file)
    eventually(lambda: admitted(service, ALICE))
    assert service.client.wait_for(task, "completed")["text"] == "ab"
    assert "Hello" not in httpx.get(service.url + link).text  # her name has a key again


def test_a_file_that_went_wrong_changes_nothing(
    service: Running, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file.write_text(f"{BOBS_ENTRY}\nbob:sha256:12\n")
    eventually(lambda: lines_of(caplog, "API keys not changed"))
    file.write_text("")
    eventually(lambda: len(lines_of(caplog, "API keys not changed")) == 2)
    assert admitted(service, ALICE)
    file.write_text(f"{BOBS_ENTRY}\n{ALICES_ENTRY}\n")
    eventually(lambda: admitted(service, ALICE, BOB))
    assert "line 2 of" in lines_of(caplog, "API keys not changed")[0]
    [good] = lines_of(caplog, "API keys changed")
    assert "keys=2 added=('bob',) withdrawn=()" in good
    for entry in (ALICES_ENTRY, BOBS_ENTRY):
        assert entry.rpartition(":")[2] not in caplog.text


@pytest.mark.soak
def test_every_worker_follows_the_file_and_a_replacement_knows_what_was_withdrawn(
    tmp_path: Path, file: Path, redis_url: str
) -> None:
    file.write_text(f"{ALICES_ENTRY}\n{BOBS_ENTRY}\n")
    settings = {
        "REDIS_URL": redis_url,
        "LONGTASK_API_KEYS_FILE": str(file),
        "LONGTASK_STREAM_SECRET": SECRET,
        "LONGTASK_LOG_FORMAT": "json",
    }
    words = ("serve", "--port", "0", "--workers", "2")
    with process_of(tmp_path, *words, **settings) as (process, log):
        url = found_in(log)

        def told(event: str) -> int:
            return len(re.findall(f'"event": "{event}', log.read_text()))

        eventually(lambda: status_of(url, ALICE) == 404, 30)
        eventually(lambda: status_of(url, BOB) == 404)
        file.write_text(f"{BOBS_ENTRY}\n")
        eventually(lambda: told("API keys changed") == 2)
        file.write_text("spoilt")
        eventually(lambda: told("API keys not changed") == 2)
        for worker in _workers(process.pid):
            os.kill(worker, signal.SIGKILL)
        eventually(lambda: told("API keys not changed") == 4, 30)
        for _ in range(20):
            assert (status_of(url, ALICE), status_of(url, BOB)) == (401, 404)
        process.terminate()
        assert process.wait(within(20)) == 0
        assert "Traceback" not in log.read_text()


def _workers(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [
        int(child)
        for child in children
        if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]


def test_commands_on_the_file(file: Path) -> None:
    here = file.parent
    named = {"LONGTASK_API_KEYS_FILE": str(file), "LONGTASK_STREAM_SECRET": SECRET}
    for name in ("bob", "bob", "alice"):  # the file that the setting names is made
        made = invoke(here, "key", "new", name, **named)
        assert (made.exit_code, made.stdout) == (0, ""), made.stderr
    assert (file.stat().st_mode & 0o777, file.read_text().count("\n")) == (0o600, 4)
    listed = invoke(here, "key", "list", **named, LONGTASK_API_KEYS=ALICES_ENTRY)
    rows = [line.split("\t") for line in listed.stdout.splitlines()]
    assert [row[0] for row in rows] == ["bob", "bob", "alice", "alice"]
    assert {row[2] for row in rows} == {str(file), "LONGTASK_API_KEYS"}
    several = invoke(here, "key", "withdraw", "bob", **named)
    assert several.exit_code == 1
    assert "say which with --hash" in several.stderr
    # Its mode is kept, and a link to it, and what a person wrote beside the entries.
    link = file.with_name("link")
    link.symlink_to(file)
    file.chmod(0o640)
    file.write_text(f"# of the team\n{file.read_text()}")
    named["LONGTASK_API_KEYS_FILE"] = str(link)
    assert invoke(here, "key", "withdraw", "bob", "--hash", rows[1][1], **named).exit_code == 0
    done = invoke(here, "key", "withdraw", "alice", **named, LONGTASK_API_KEYS=ALICES_ENTRY)
    assert "still has a key in LONGTASK_API_KEYS" in done.stderr
    left = file.read_text().splitlines()
    assert left[:2] == ["# of the team", HEADER]
    assert [line.partition(":")[2][:19] for line in left[2:]] == [rows[0][1]]
    assert (link.is_symlink(), file.stat().st_mode & 0o777) == (True, 0o640)
    assert sorted(each.name for each in here.iterdir()) == ["keys", "link"]
    # One sentence for whatever is wrong.
    file.write_text("spoilt")
    for words in (("new", "eve"), ("withdraw", "bob"), ("list",)):
        done = invoke(here, "key", *words, **named)
        assert done.exit_code == 1
        assert f"line 1 of {link} is not name:sha256" in done.stderr
    assert file.read_text() == "spoilt"
    done = invoke(here, "key", "withdraw", "bob")
    assert "name the file with --file" in done.stderr
    done = invoke(here, "key", "new", "eve", "--file", str(here / "no" / "keys"))
    assert (done.exit_code, "No such file" in done.stderr) == (1, True), done.stderr


def test_the_doctor_looks_at_the_file(service: Running, file: Path) -> None:
    port = service.url.rpartition(":")[2]
    settings = {
        "LONGTASK_API_KEYS_FILE": str(file),
        "LONGTASK_STREAM_SECRET": SECRET,
        "LONGTASK_PORT": port,
    }

    def examined() -> str:
        return invoke(file.parent, "doctor", **settings).stdout

    file.chmod(0o600)
    said = examined()
    assert "ok   access: API keys of alice\n" in said
    assert "leads to a Longtask that has these API keys" in said
    assert "others" not in said
    file.write_text(f"dave:{new_key('dave')[0]}\n")
    file.chmod(0o664)
    said = examined()
    assert f"fail access: others can write {file}, and so make themselves a key (mode 0664)" in said
    assert f"warn access: others can read the key itself in line 1 of {file}" in said
    file.write_text("# none\n")
    eventually(lambda: admitted(service))
    said = examined()
    assert "warn access: no API key is valid: every call gets 401" in said
    assert "leads to a Longtask that has these API keys" in said
