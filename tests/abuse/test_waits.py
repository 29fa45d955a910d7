"""What clients may cost that wait for the end of a task and go away."""

import contextlib
import socket
import struct
from pathlib import Path

import pytest

from tests.abuse.watched import Attacked, attacked, held
from tests.doubles.upstream import Gate, Script, Upstream, answer, piece
from tests.raw_http import connect
from tests.waiting import eventually

pytestmark = pytest.mark.soak

WAITS = 1_000


def _figure(target: Attacked, name: str) -> float:
    page = target.client.http.get("/metrics").text
    [line] = [each for each in page.splitlines() if each.startswith(f"{name} ")]
    return float(line.split()[1])


def test_a_thousand_waits_that_go_away(tmp_path: Path, upstream: Upstream) -> None:
    gate = Gate()
    upstream.then(Script([piece("So far"), gate, *answer(", and on.")]))
    with attacked(tmp_path, OPENAI_BASE_URL=upstream.url, LONGTASK_SSE_PING_INTERVAL="1") as target:
        task = target.client.start()
        path = f"/api/tasks/{task}/result"
        eventually(lambda: target.client.record(task)["text"] == "So far")
        idle = target.files()
        with target.used() as used, contextlib.ExitStack() as opened:
            waiting = [opened.enter_context(connect(target.url)) for _ in range(WAITS)]
            for number, each in enumerate(waiting):
                wait = 300 if number % 10 else 1  # a few end by themselves
                head = f"GET {path}?wait={wait} HTTP/1.1\r\nHost: localhost\r\n\r\n"
                each.sendall(head.encode())
            eventually(lambda: _figure(target, "longtask_open_streams") > WAITS // 2)
            for number, each in enumerate(waiting):
                if number % 2:  # a reset, where the others only end
                    linger = struct.pack("ii", 1, 0)
                    each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                each.close()
            eventually(lambda: _figure(target, "longtask_open_streams") == 0)
            eventually(lambda: target.files() < idle + 10)
        held(used, memory=64)
        gate.open()
        assert target.client.http.get(f"{path}?wait=20").json()["text"] == "So far, and on."
        log = target.log.read_text()
        assert "Traceback" not in log
        assert '"level":"error"' not in log.replace(" ", "")
