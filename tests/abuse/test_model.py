"""What a model's server may cost: errors and answers without end, packed small, or never said."""

import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tests.abuse.watched import MIB, Attacked, attacked, held
from tests.doubles.upstream import Script, Upstream, piece
from tests.waiting import eventually


@cache
def bomb() -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    return b"".join([*(packer.compress(b" " * MIB) for _ in range(400)), packer.flush()])


PACKED = {"content-encoding": "gzip"}
ENDLESS: dict[str, Callable[[], Script]] = {
    "an error of 300 MB": lambda: Script([b"x" * MIB] * 300, status=400),
    "an error of 300 MB, to be tried again": lambda: Script([b"x" * MIB] * 300, status=503),
    "an error that is a gzip bomb": lambda: Script([bomb()], status=400, headers=PACKED),
    "an answer that is a gzip bomb": lambda: Script([bomb()], headers=PACKED),
    "an event of 300 MB": lambda: Script([b"data: ", *[b"x" * MIB] * 300]),
    "brackets without end": lambda: Script([b"data: ", b"[" * 4_000_000, b"\n\n"]),
    "comments for ever": lambda: Script([b": still here\n\n", 0.1] * 600),
    "empty pieces for ever": lambda: Script([piece(""), 0.1] * 600),
}


def _ended(target: Attacked, tasks: list[str]) -> bool:
    query = [{"taskId": task} for task in tasks]
    found = [target.client.http.get("/api/tasks/start", params=each).json() for each in query]
    return all(each["status"] == "failed" for each in found)


@pytest.mark.parametrize("what", ENDLESS)
def test_a_model_that_never_comes_to_an_end(tmp_path: Path, upstream: Upstream, what: str) -> None:
    upstream.always = ENDLESS[what]()
    with attacked(
        tmp_path,
        OPENAI_BASE_URL=upstream.url,
        LONGTASK_MODEL_READ_TIMEOUT="1",
        LONGTASK_QSTASH_RETRIES="1",
        LONGTASK_QSTASH_RETRY_DELAY="50",
    ) as target:
        with target.used() as used:
            tasks = [target.client.start() for _ in range(5)]
            eventually(lambda: _ended(target, tasks), timeout=60)
        held(used, memory=160)
        errors = {target.client.record(task)["error"]["code"] for task in tasks}
        assert "internal_error" not in errors
