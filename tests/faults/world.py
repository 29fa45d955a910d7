"""A whole deployment that can be broken: several instances, a Redis, a QStash, all processes, and
the model's server; a proxy between any two of them.

    clients ── front ──┐                      ┌── to_model ── the model's server
    QStash ── back ────┴── three instances ───┼── to_redis ── Redis
                                              └── to_qstash ── QStash
"""

import base64
import contextlib
import json
import os
import random
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from adapters.qstash import DEVELOPMENT
from tests.faults.planned import PlannedModel
from tests.processes import environment, longtask
from tests.redis_server import LocalRedis, free_port, redis_cli
from tests.tcp_proxy import TcpProxy
from tests.waiting import eventually, within

INSTANCES = 3
LEASE = 1.5
ORPHAN_TIMEOUT = 60.0
"""More than QStash takes for the four deliveries of a message and of its failure callback, of which
each may be told to come again after five seconds or run into its time-out."""
RETRIES = 3
MESSAGE_LIMIT = 4096
"""Bytes of a request above which it is in the store only."""
SETTINGS = {
    "QSTASH_TOKEN": DEVELOPMENT.token,
    "QSTASH_CURRENT_SIGNING_KEY": DEVELOPMENT.current_key,
    "QSTASH_NEXT_SIGNING_KEY": DEVELOPMENT.next_key,
    "LONGTASK_QSTASH_RETRIES": str(RETRIES),
    "LONGTASK_QSTASH_RETRY_DELAY": "200 * pow(2, retried)",
    "LONGTASK_QSTASH_TIMEOUT": "2",
    "LONGTASK_MAX_MESSAGE_BYTES": str(MESSAGE_LIMIT),
    "LONGTASK_DELIVERY_TIMEOUT": "4",
    "LONGTASK_ORPHAN_TIMEOUT": str(ORPHAN_TIMEOUT),
    "LONGTASK_REDIS_TIMEOUT": "1",
    "LONGTASK_REDIS_CONNECT_TIMEOUT": "1",
    "LONGTASK_LEASE": str(LEASE),
    "LONGTASK_GRACE": "0.5",
    "LONGTASK_SSE_PING_INTERVAL": "1",
    "LONGTASK_MODEL_READ_TIMEOUT": "2",
    "LONGTASK_MAX_CONCURRENT_DELIVERIES": "6",
    "LONGTASK_LOG_FORMAT": "json",
}


class Program:
    """One of our commands as a process, which may be killed, frozen, stopped and started."""

    def __init__(self, folder: Path, name: str, port: int, *words: str, **settings: str) -> None:
        self.name = name
        self.port = port
        self.log = folder / f"{name}.log"
        self._words = longtask(*words, "--port", str(port))
        self._environment = environment(**settings)
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.frozen = False

    def start(self) -> None:
        if self._process is None:
            with self.log.open("a") as log:
                self._process = subprocess.Popen(  # noqa: S603
                    self._words, cwd=self._folder, env=self._environment, stderr=log
                )

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(within(10))
            self._process, self.frozen = None, False

    def answers(self, path: str) -> bool:
        with contextlib.suppress(httpx.HTTPError):
            url = f"http://127.0.0.1:{self.port}{path}"
            return httpx.get(url, timeout=within(5.0)).status_code == 200
        return False

    def freeze(self) -> None:
        if self._process is not None:
            os.kill(self._process.pid, signal.SIGSTOP)
            self.frozen = True

    def thaw(self) -> None:
        if self._process is not None and self.frozen:
            os.kill(self._process.pid, signal.SIGCONT)
            self.frozen = False

    def stop(self) -> int:
        """Its exit status after the order to stop."""
        self.thaw()
        if self._process is None:
            return 0
        self._process.terminate()
        status = self._process.wait(within(30))
        self._process = None
        return status


class World:
    def __init__(self, folder: Path, rng: random.Random) -> None:
        self.rng = rng
        self.model = PlannedModel()
        # Nothing that was written may be lost when the server is killed.
        self.redis = LocalRedis("--appendonly", "yes", "--appendfsync", "always")
        self._folder = folder
        self.instances: list[Program] = []
        self.qstash: Program
        self.front: TcpProxy
        self.back: TcpProxy
        self.to_model: TcpProxy
        self.to_redis: TcpProxy
        self.to_qstash: TcpProxy
        self.lost_data = False
        """Whether Redis lost anything."""
        self.ended_before_loss: set[str] = set()
        """Tasks that no delivery will bring again, whatever was lost of them."""
        self.deleted: set[str] = set()
        """Tasks that a user deletes or has deleted."""
        self.qstash_forgot = False
        self.given_up: set[str] = set()
        """Tasks of which QStash could deliver neither the message nor the failure callback."""

    @property
    def proxies(self) -> dict[str, TcpProxy]:
        names = ("front", "back", "to_model", "to_redis", "to_qstash")
        return {name: getattr(self, name) for name in names}

    @contextmanager
    def running(self) -> Iterator["World"]:
        ports, qstash_port = [free_port() for _ in range(INSTANCES)], free_port()
        with ExitStack() as stack:
            stack.enter_context(self.redis.running())
            stack.enter_context(self.model.running())
            model_port = urlsplit(self.model.url).port
            assert model_port is not None
            self.to_model = stack.enter_context(TcpProxy(model_port).running())
            self.to_redis = stack.enter_context(TcpProxy(self.redis.port).running())
            self.to_qstash = stack.enter_context(TcpProxy(qstash_port).running())
            self.front = stack.enter_context(TcpProxy(*ports).running())
            self.back = stack.enter_context(TcpProxy(*ports).running())
            self.qstash = Program(
                self._folder, "qstash", qstash_port, "local-qstash", "--json-logs"
            )
            settings = {
                **SETTINGS,
                "REDIS_URL": f"redis://127.0.0.1:{self.to_redis.port}",
                "QSTASH_URL": self.to_qstash.url,
                "BASE_URL": self.back.url,
                "OPENAI_BASE_URL": f"{self.to_model.url}/v1",
            }
            self.instances = [
                Program(self._folder, f"instance-{n}", port, "serve", **settings)
                for n, port in enumerate(ports)
            ]
            for program in (self.qstash, *self.instances):
                stack.callback(program.kill)
                program.start()
            self._all_ready()
            yield self

    def lose_data(self) -> None:
        """Restart Redis without its data."""
        self._stop_writing()
        self.redis.restart_empty()

    def lose_end(self, size: int) -> None:
        """Restart Redis without the last bytes that it wrote."""
        self._stop_writing()
        self.redis.restart_without_end(size)

    def _stop_writing(self) -> None:
        """Let nobody write any more, and remember which tasks have ended."""
        script = (
            "local ended = {} "
            "for _, key in ipairs(redis.call('KEYS', 'longtask:*:record')) do "
            "local status = redis.call('HGET', key, 'status') "
            "if status ~= 'pending' and status ~= 'running' then ended[#ended + 1] = key end end "
            "return ended"
        )
        self.lost_data = True
        port = str(self.redis.port)
        redis_cli("-p", port, "client", "pause", "10000", "write")
        keys = redis_cli("-p", port, "eval_ro", script, "0").split()
        self.ended_before_loss |= {key.partition("{")[2].partition("}")[0] for key in keys}

    def ask_given_up(self) -> set[str]:
        """Tasks of which QStash could deliver neither the message nor the failure callback."""
        url = f"http://127.0.0.1:{self.qstash.port}/v2/dlq"
        headers = {"Authorization": f"Bearer {DEVELOPMENT.token}"}
        found: set[str] = set()
        page: dict[str, Any] = {"cursor": ""}
        while (cursor := page.get("cursor")) is not None:
            page = httpx.get(url, params={"cursor": cursor}, headers=headers).json()
            for letter in page["messages"]:
                if letter["url"].endswith("/api/qstash/failure"):
                    source = base64.b64decode(json.loads(letter["body"])["sourceBody"])
                    found.add(json.loads(source)["taskId"])
        return found

    def heal(self) -> None:
        """All as it should be, as far as we can make it so."""
        self.redis.start_if_down()
        for proxy in self.proxies.values():
            proxy.delay, proxy.refusing = 0.0, False
        for program in (self.qstash, *self.instances):
            program.thaw()
            program.start()
        self._all_ready()

    def _all_ready(self) -> None:
        for program in self.instances:
            eventually(partial(program.answers, "/readyz"), 60)

    def complaints(self) -> list[str]:
        """Lines of the instances' logs that no fault excuses."""
        found = []
        for program in self.instances:
            for line in program.log.read_text().splitlines():
                with contextlib.suppress(ValueError):
                    entry = json.loads(line)
                    if entry.get("event") in (
                        "request failed",
                        "attempt crashed",
                        "subscribing connection failed",
                    ):
                        found.append(f"{program.name}: {line[-1500:]}")
                    continue
                found.append(f"{program.name}: {line[:500]}")
        return found
