"""Attempts that go on, whose worker on Redis is killed before each of its calls."""

import subprocess
from functools import partial
from pathlib import Path

import pytest

from tests.end_to_end.continuing import Kept, Prefill, log_faults
from tests.end_to_end.killed_attempts import (
    LEASE,
    LIVES,
    NEVER,
    OF_START,
    ORPHAN_TIMEOUT,
    RETRIES,
    begin,
    begun,
    over,
    settled,
)
from tests.end_to_end.killing import Counting, proxy_of, running_worker
from tests.instances import QSTASH
from tests.redis_server import LocalRedis
from tests.running import Client, running_local_qstash, running_service, settings_for
from tests.tcp_proxy import TcpProxy
from tests.waiting import eventually

pytestmark = pytest.mark.soak


@pytest.mark.parametrize(("kind", "end"), LIVES)
def test_nothing_is_lost_before_whichever_call_a_worker_on_redis_is_killed(
    own_redis: LocalRedis, tmp_path: Path, kind: type[Kept | Prefill], end: str
) -> None:
    """Deliveries go to a worker until it is dead, and then to another one, which reads on."""
    model = kind(endless=end == "cancelled")
    with (
        model.model.running(),
        proxy_of(model.model.url).running() as to_model,
        running_local_qstash() as qstash,
        TcpProxy().running() as front,
    ):
        settings = settings_for(
            redis_url=own_redis.url,
            base_url=front.url,
            qstash_token=QSTASH["QSTASH_TOKEN"],
            qstash_current_signing_key=QSTASH["QSTASH_CURRENT_SIGNING_KEY"],
            qstash_next_signing_key=QSTASH["QSTASH_NEXT_SIGNING_KEY"],
            qstash_url=qstash,
            qstash_retry_delay="50",
            qstash_retries=RETRIES,
            openai_base_url=f"{to_model.url}/v1",
            lease=LEASE,
            orphan_timeout=ORPHAN_TIMEOUT,
            **model.overrides,
        )
        of_workers = {
            **QSTASH,
            "BASE_URL": front.url,
            "OPENAI_BASE_URL": f"{to_model.url}/v1",
            "LONGTASK_LEASE": str(LEASE),
            "LONGTASK_ORPHAN_TIMEOUT": str(ORPHAN_TIMEOUT),
            "LONGTASK_QSTASH_RETRY_DELAY": "50",
            "LONGTASK_QSTASH_RETRIES": str(RETRIES),
            "LONGTASK_LOG_FORMAT": "json",
            **model.settings,
        }
        with running_service(settings) as other:
            steps, fatal = 1, 0  # the first worker is not killed
            while fatal <= steps:
                number = fatal or NEVER
                worker = running_worker(
                    tmp_path / str(fatal), own_redis, qstash, number, **of_workers
                )
                with worker as (client, process, counting):
                    front.ports[:] = [int(client.url.rpartition(":")[2])]
                    to_model.before = counting
                    begin(client, model)

                    def done(
                        client: Client = client,
                        process: "subprocess.Popen[str]" = process,
                        counting: Counting = counting,
                    ) -> bool:
                        return process.poll() is not None or (counting.idle and over(client, model))

                    eventually(done, 30)
                    to_model.before = lambda _: None
                    front.ports[:] = [int(other.url.rpartition(":")[2])]
                    eventually(partial(settled, other.client, model), 30)
                    steps = counting.counted if not fatal else steps
                fatal += 1 if fatal else OF_START + 1
            ended = begun(other.client)
            faults = log_faults(other.client, ended, end) + model.faults()
    assert not faults
    assert steps >= 12, "the life of a task takes more calls"
    assert len(ended) >= steps - OF_START
