"""What strangers may cost at the queue's edge: deliveries without a signature, or replayed
with another body, tasks that are refused by the thousand, and questions for readiness."""

import contextlib
import json
import time
from pathlib import Path

import httpx
import pytest

from entrypoints.local_qstash.sending import sign
from tests.abuse.watched import MIB, at_once, attacked, held
from tests.doubles.upstream import Script, Upstream, refusal
from tests.raw_http import connect, received
from tests.sizes import some_of
from tests.waiting import eventually, within

BASE_URL = "http://service.test"
KEYS = ("sig_of_a_test_current_0123456789abcdef", "sig_of_a_test_next_0123456789abcdefgh")
QUEUE = {
    "QSTASH_TOKEN": "token",
    "QSTASH_CURRENT_SIGNING_KEY": KEYS[0],
    "QSTASH_NEXT_SIGNING_KEY": KEYS[1],
    "BASE_URL": BASE_URL,
    "LONGTASK_LOG_FORMAT": "json",
}


@pytest.mark.soak
@pytest.mark.parametrize("signature", some_of(["another body's", "none", "forged"]))
def test_deliveries_of_strangers(tmp_path: Path, signature: str) -> None:
    """8 MiB of each were read, then looked at."""
    url, now = f"{BASE_URL}/api/qstash/webhook", int(time.time())
    signatures = {
        "none": "",
        "forged": sign("sig_of_a_stranger_who_guesses_0123456789", url, b"", now),
        "another body's": sign(KEYS[0], url, b"", now),  # one that a stranger has overheard
    }
    head = (
        "POST /api/qstash/webhook HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Type: application/json\r\nContent-Length: {8 * MIB}\r\n"
    )
    if signatures[signature]:
        head += f"Upstash-Signature: {signatures[signature]}\r\n"
    statuses: list[bytes] = []

    def deliver(_: int) -> None:
        with connect(target.url, timeout=within(60)) as connection:
            connection.sendall(f"{head}\r\n".encode())
            with contextlib.suppress(OSError):
                for _ in range(8):
                    connection.sendall(b"x" * MIB)
            with contextlib.suppress(OSError):
                statuses.append(received(connection).split(b" ")[1])

    settings = {**QUEUE, "LONGTASK_MAX_MESSAGE_BYTES": str(8 * MIB)}
    with attacked(tmp_path, 4096, **settings) as target, target.used() as used:
        at_once(60, deliver)
    held(used, memory=160 if signature == "another body's" else 48)
    assert set(statuses) <= {b"401", b"503"}


@pytest.mark.soak
def test_tasks_that_are_refused_by_the_hundred(tmp_path: Path, upstream: Upstream) -> None:
    """3,000 of 90 KB left 752 MiB of dead letters. Each client starts forty."""
    clients = 15
    upstream.always = refusal(400, "invalid_request")
    with attacked(
        tmp_path,
        OPENAI_BASE_URL=upstream.url,
        TASK_TTL="1",  # what the store keeps of them is another matter
        LONGTASK_QSTASH_RETRIES="0",
    ) as target:
        body = json.dumps({"prompt": "x" * 90_000})
        headers = {"Content-Type": "application/json"}

        def start(_: int) -> None:
            with httpx.Client(base_url=target.url, timeout=within(60)) as client:
                for _ in range(40):
                    client.post("/api/tasks/start", content=body, headers=headers)

        with target.used() as used:
            at_once(clients, start)
            eventually(lambda: len(upstream.received) >= 40 * clients, timeout=60)
        held(
            used, memory=140 + 12 * clients
        )  # messages that wait, dead letters, and what Python adds


@pytest.mark.soak
def test_questions_for_readiness(tmp_path: Path) -> None:
    """Each of them was a call to QStash, which counts and bills them."""
    keys = json.dumps({"current": KEYS[0], "next": KEYS[1]}).encode()
    with (
        Upstream().running() as queue,
        attacked(tmp_path, 4096, **QUEUE, QSTASH_URL=queue.url.removesuffix("/v1")) as target,
    ):
        queue.always = Script([0.3, keys], headers={"content-type": "application/json"})

        def ask(_: int) -> set[int]:
            with httpx.Client(base_url=target.url, timeout=within(60)) as client:
                return {client.get("/readyz").status_code for _ in range(50)}

        began = time.monotonic()
        with target.used() as used:
            answers = at_once(30, ask)
        seconds = time.monotonic() - began
        held(used, memory=24)
        assert set().union(*answers) == {200}
        assert len(queue.received) <= 2 + seconds
