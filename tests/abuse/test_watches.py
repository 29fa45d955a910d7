"""What clients may cost that watch all tasks and read nothing."""

import contextlib
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from entrypoints.http.protocol.unsent import UNSENT_LIMIT
from tests.abuse.watched import MIB, attacked, held
from tests.raw_http import connect
from tests.running import Client
from tests.waiting import eventually
from tests.watching import Watch

pytestmark = pytest.mark.soak

TASKS, WATCHES = 120, 400


def test_hundreds_of_watches_of_large_tasks_that_read_nothing(tmp_path: Path) -> None:
    """Each has more than a page of the largest summaries to tell, and more comes. Together they
    hold no more than slow clients may, and who reads is told."""
    body = json.dumps({"prompt": "Hi.", "metadata": {f"key {n}": "é" * 512 for n in range(16)}})
    with attacked(tmp_path, LONGTASK_DEMO_SPEED="0") as target, ThreadPoolExecutor(4) as starting:

        def start(_: int) -> str:
            headers = {"Content-Type": "application/json"}
            answer = target.client.http.post("/api/tasks/start", content=body, headers=headers)
            return str(answer.json()["taskId"])

        before = list(starting.map(start, range(TASKS)))
        for task in before:
            target.client.wait_for(task, "completed")
        with target.used() as used, contextlib.ExitStack() as opened:
            for _ in range(WATCHES):
                watch = opened.enter_context(connect(target.url, receive_buffer=4096))
                watch.sendall(b"GET /api/tasks/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            eventually(lambda: "slow client cut" in target.log.read_text(), 60)
            reader = Watch(opened.enter_context(httpx.Client(base_url=target.url, timeout=60)))
            with reader.connected():
                for each in (*before, start(0)):
                    reader.wait_for(each, "completed")
        held(used, memory=UNSENT_LIMIT // MIB + 100)
        with Client(target.url) as other:
            eventually(lambda: "longtask_open_streams 0.0" in other.http.get("/metrics").text)
