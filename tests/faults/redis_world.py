"""A whole deployment on Redis: several instances, a Redis, a QStash, all processes, and the model's
server; a proxy between any two of them.

    clients ── front ──┐                      ┌── to_model ── the model's server
    QStash ── back ────┴── three instances ───┼── to_redis ── Redis
                                              └── to_qstash ── QStash
"""

import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from adapters.qstash import DEVELOPMENT
from tests.faults.planned import PlannedModel
from tests.faults.programs import Program
from tests.faults.world import World
from tests.redis_server import LocalRedis, free_port, redis_cli
from tests.tcp_proxy import TcpProxy

INSTANCES = 3


class RedisWorld(World):
    token = DEVELOPMENT.token
    signing_key = DEVELOPMENT.current_key

    def __init__(self, folder: Path, rng: random.Random, model: PlannedModel) -> None:
        super().__init__(folder, rng, model)
        # Nothing that was written may be lost when the server is killed.
        self.redis = LocalRedis("--appendonly", "yes", "--appendfsync", "always")
        self.qstash: Program
        self.to_redis: TcpProxy
        self.to_qstash: TcpProxy

    @property
    def proxies(self) -> dict[str, TcpProxy]:
        return {**super().proxies, "to_redis": self.to_redis, "to_qstash": self.to_qstash}

    @property
    def programs(self) -> list[Program]:
        return [self.qstash, *self.instances]

    @property
    def qstash_port(self) -> int:
        return self.qstash.port

    @contextmanager
    def running(self) -> Iterator[None]:
        ports, qstash_port = [free_port() for _ in range(INSTANCES)], free_port()
        with ExitStack() as stack:
            stack.enter_context(self.redis.running())
            stack.enter_context(self.model.running())
            stack.enter_context(self.receiver.running())
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
                **self.settings,
                "LONGTASK_MAX_CONCURRENT_DELIVERIES": "6",
                "LONGTASK_REDIS_TIMEOUT": "1",
                "LONGTASK_REDIS_CONNECT_TIMEOUT": "1",
                "QSTASH_TOKEN": DEVELOPMENT.token,
                "QSTASH_CURRENT_SIGNING_KEY": DEVELOPMENT.current_key,
                "QSTASH_NEXT_SIGNING_KEY": DEVELOPMENT.next_key,
                "REDIS_URL": f"redis://127.0.0.1:{self.to_redis.port}",
                "QSTASH_URL": self.to_qstash.url,
                "BASE_URL": self.back.url,
            }
            self.instances = [
                Program(self._folder, f"instance-{n}", port, "serve", **settings)
                for n, port in enumerate(ports)
            ]
            for program in self.programs:
                stack.callback(program.kill)
                program.start()
            self.all_ready()
            yield

    def heal(self) -> None:
        self.redis.start_if_down()
        super().heal()

    def lose_data(self) -> None:
        """Restart Redis without its data."""
        self._stop_writing()
        self.redis.restart_empty()

    def lose_end(self, size: int) -> None:
        """Restart Redis without the last bytes that it wrote."""
        self._stop_writing()
        self.lost_end = True
        self.redis.restart_without_end(size)

    def _stop_writing(self) -> None:
        """Stop all that writes, and remember which tasks have ended."""
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
