"""Changes of tasks over one Redis: from the instance that writes them to a client of another one,
whatever is lost in between."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from redis import Redis

from adapters.redis.keys import keys_of
from tests.doubles.upstream import DONE, Gate, Script, Upstream, finish, piece, refusal
from tests.instances import QSTASH
from tests.processes import found_in, process_of
from tests.redis_server import LocalRedis
from tests.running import Client, Running, running_local_qstash, running_service, settings_for
from tests.tcp_proxy import TcpProxy
from tests.waiting import eventually, within
from tests.watching import Watch

DELIVERED_AGAIN = {"qstash_retry_delay": "50", "qstash_retries": 5}


@pytest.fixture
def two(own_redis: LocalRedis, upstream: Upstream) -> Iterator[tuple[Running, Running, TcpProxy]]:
    """An instance that works, one to watch at, and what the second reaches Redis through."""
    with TcpProxy(own_redis.port).running() as between:
        urls = own_redis.url, f"redis://127.0.0.1:{between.port}"
        with ExitStack() as stack:
            one, other = (
                stack.enter_context(
                    running_service(
                        settings_for(redis_url=url, openai_base_url=upstream.url, **DELIVERED_AGAIN)
                    )
                )
                for url in urls
            )
            yield one, other, between


def test_changes_reach_the_other_instance_also_after_a_lost_subscription(
    two: tuple[Running, Running, TcpProxy], upstream: Upstream
) -> None:
    one, other, between = two
    gates = [Gate(), Gate()]
    upstream.then(*(Script([piece("one"), gate, finish(), DONE]) for gate in gates))
    with httpx.Client(base_url=other.url, timeout=within(20)) as http:
        watch = Watch(http)
        with watch.connected():
            tasks = []
            for _ in gates:
                tasks.append(one.client.start())
                watch.wait_for(tasks[-1], "running")
            ended, deleted = tasks
            between.refusing = True
            between.cut()
            gates[0].open()
            one.client.wait_for(ended, "completed")
            assert one.client.http.delete(f"/api/tasks/{deleted}").status_code == 204
            fresh = one.client.start()
            one.client.wait_for(fresh, "completed")
            assert watch.statuses == {ended: "running", deleted: "running"}
            between.refusing = False
            eventually(lambda: watch.statuses == {ended: "completed", fresh: "completed"}, 30)
            assert not watch.ended.is_set(), "the same connection"
            told = [watch.told_of(each)[-2:] for each in (ended, deleted, fresh)]
            assert told[:2] == [["running", "completed"], ["running", "deleted"]]


def test_a_task_that_a_delivery_creates_again_is_told_and_listed(
    own_redis: LocalRedis, upstream: Upstream
) -> None:
    """The store has lost it, and its index."""
    gate = Gate()
    upstream.then(Script([gate], status=500), refusal(503), Script([piece("one"), finish(), DONE]))
    settings = settings_for(
        redis_url=own_redis.url, openai_base_url=upstream.url, **DELIVERED_AGAIN
    )
    with running_service(settings) as service:
        watch = Watch(service.client.http)
        with watch.connected():
            task = service.client.start()
            watch.wait_for(task, "running")
            own_redis.restart_empty()
            gate.open()
            watch.wait_for(task, "completed")
        listed = service.client.http.get("/api/tasks").json()["tasks"]
        assert [(each["taskId"], each["status"]) for each in listed] == [(task, "completed")]


@dataclass
class Writer:
    """An instance in a process of its own, and what it reaches Redis through."""

    client: Client
    process: "subprocess.Popen[str]"
    between: TcpProxy

    @property
    def port(self) -> int:
        return int(self.client.url.rpartition(":")[2])

    def start_if_it_can(self) -> None:
        with contextlib.suppress(httpx.HTTPError):
            self.client.http.post("/api/tasks/start", json={"prompt": "Hi."})


@contextmanager
def running_writer(
    folder: Path, redis: LocalRedis, upstream: Upstream, qstash: str, base_url: str
) -> Iterator[Writer]:
    folder.mkdir()
    with TcpProxy(redis.port).running() as between:
        settings = {
            **QSTASH,
            "QSTASH_URL": qstash,
            "BASE_URL": base_url,
            "REDIS_URL": f"redis://127.0.0.1:{between.port}",
            "OPENAI_BASE_URL": upstream.url,
            "LONGTASK_LEASE": str(SHORT["lease"]),
            "LONGTASK_ORPHAN_TIMEOUT": str(SHORT["orphan_timeout"]),
            "LONGTASK_LOG_FORMAT": "json",
        }
        with (
            process_of(folder, "serve", "--port", "0", **settings) as (process, log),
            Client(found_in(log)) as client,
        ):
            yield Writer(client, process, between)


class Counting:
    """Counts the calls of scripts, and kills the process before the one of this number."""

    def __init__(self, process: "subprocess.Popen[str]", fatal: int) -> None:
        self._process = process
        self._fatal = fatal
        self.counted = 0
        self.last = b""

    def __call__(self, chunk: bytes) -> None:
        if b"EVALSHA" not in chunk.upper():
            return
        self.counted, self.last = self.counted + 1, chunk
        if self.counted == self._fatal:
            os.kill(self._process.pid, signal.SIGKILL)
            self._process.wait(within(10))
            raise ConnectionError  # this chunk is not passed on


SHORT = {"lease": 1.0, "orphan_timeout": 4.0}
"""Seconds, so that a task whose writer died is soon another one's, or fails."""


@pytest.mark.soak
def test_the_last_status_arrives_wherever_its_writer_is_killed(
    own_redis: LocalRedis, upstream: Upstream, tmp_path: Path
) -> None:
    """Before each call of a script in the life of a task, from its start on: so between any two of
    index, record and notice. One client stays connected to another instance, a second one comes
    back afterwards. Deliveries go to the writer until it is dead, and then to the other one."""
    upstream.always = Script([piece("one") + finish() + DONE])  # one append
    with running_local_qstash() as qstash, TcpProxy().running() as front:
        common = {"qstash_url": qstash, "openai_base_url": upstream.url, **SHORT}
        settings = settings_for(
            redis_url=own_redis.url,
            base_url=front.url,
            qstash_token=QSTASH["QSTASH_TOKEN"],
            qstash_current_signing_key=QSTASH["QSTASH_CURRENT_SIGNING_KEY"],
            qstash_next_signing_key=QSTASH["QSTASH_NEXT_SIGNING_KEY"],
            **common,
        )
        with running_service(settings) as other:
            told, fatal, rounds = Told(other, own_redis), 1, 0
            last_killed = False
            while not last_killed:
                rounds += 1
                assert rounds < 20, "the writer was never killed before the last call of a life"
                folder = tmp_path / str(rounds)
                with running_writer(folder, own_redis, upstream, qstash, front.url) as writer:
                    front.ports[:] = [writer.port]
                    counting = Counting(writer.process, fatal)
                    with told.while_it_dies():
                        writer.between.before = counting
                        writer.start_if_it_can()
                        told.until_over(writer.process)
                        front.ports[:] = [int(other.url.rpartition(":")[2])]
                    killed = counting.counted == fatal
                # A lease that is renewed takes a call more, so a life may have ended before.
                last_killed = killed and fatal > 1 and b":ended" in counting.last
                fatal = fatal + 1 if killed else counting.counted
    assert fatal > 6, "the life of a task takes more calls"
    assert told.statuses == {"completed"}


class Told:
    """Two clients at one instance, and whether they are told what its list says."""

    def __init__(self, service: Running, redis: LocalRedis) -> None:
        self._redis = redis
        self._url = service.url
        self._client = service.client
        self._seen: set[str] = set()
        self.statuses: set[str] = set()

    @contextmanager
    def while_it_dies(self) -> Iterator[None]:
        with (
            httpx.Client(base_url=self._url, timeout=within(20)) as http,
            httpx.Client(base_url=self._url, timeout=within(20)) as another,
        ):
            stays, returns = Watch(http), Watch(another)
            with returns.connected():
                pass
            with stays.connected():
                yield
                eventually(self._is_over, 30)
                eventually(lambda: self._is_told(stays))
                with returns.connected():
                    eventually(lambda: self._is_told(returns))
        self._seen |= self._listed().keys()

    def until_over(self, process: "subprocess.Popen[str]") -> None:
        """Wait until the writer is dead, or has done all that it has to do."""
        with httpx.Client(base_url=self._url, timeout=within(20)) as http:
            watch = Watch(http)
            with watch.connected():

                def over() -> bool:
                    return process.poll() is not None or any(
                        watch.has_passed(task) for task in self._listed().keys() - self._seen
                    )

                eventually(over, 30)

    def _listed(self) -> dict[str, str]:
        tasks = self._client.http.get("/api/tasks?limit=100").json()["tasks"]
        return {each["taskId"]: each["status"] for each in tasks}

    def _stored(self) -> set[str]:
        with Redis.from_url(self._redis.url, decode_responses=True) as redis:
            records = redis.scan_iter(keys_of("*").record)
            return {each.partition("{")[2].partition("}")[0] for each in records}

    def _is_over(self) -> bool:
        return set(self._listed().values()) <= {"completed", "failed"}

    def _is_told(self, watch: Watch) -> bool:
        listed = self._listed()
        assert listed.keys() == self._stored()
        self.statuses |= set(listed.values())
        fresh = {task: status for task, status in listed.items() if task not in self._seen}
        told = {task: status for task, status in watch.statuses.items() if task not in self._seen}
        return told == fresh
