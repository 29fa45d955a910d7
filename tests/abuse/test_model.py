"""What a model's server may cost: errors and answers without end, packed small, or never said."""

import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tests.abuse.watched import MIB, Attacked, attacked, held
from tests.doubles.upstream import Script, Upstream, piece
from tests.sizes import sizes, some_of
from tests.waiting import eventually

pytestmark = pytest.mark.soak


@cache
def bomb(size: int) -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    return b"".join([*(packer.compress(b" " * MIB) for _ in range(size)), packer.flush()])


PACKED = {"content-encoding": "gzip"}
LONG: dict[str, Callable[[int], Script]] = {
    "an error": lambda size: Script([b"x" * MIB] * size, status=400),
    "an error, to be tried again": lambda size: Script([b"x" * MIB] * size, status=503),
    "an error that is a gzip bomb": lambda size: Script([bomb(size)], status=400, headers=PACKED),
    "an answer that is a gzip bomb": lambda size: Script([bomb(size)], headers=PACKED),
    "an event": lambda size: Script([b"data: ", *[b"x" * MIB] * size]),
}
"""By its MiB."""
ENDLESS: dict[str, Script] = {
    "brackets": Script([b"data: ", b"[" * 4_000_000, b"\n\n"]),
    "comments": Script([b": still here\n\n", 0.1] * 600),
    "empty pieces": Script([piece(""), 0.1] * 600),
}


def _ended(target: Attacked, tasks: list[str]) -> bool:
    query = [{"taskId": task} for task in tasks]
    found = [target.client.http.get("/api/tasks/start", params=each).json() for each in query]
    return all(each["status"] == "failed" for each in found)


def _harmless(tmp_path: Path, upstream: Upstream, script: Script) -> None:
    upstream.always = script
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


@pytest.mark.parametrize("what", some_of(LONG, every=5))
@pytest.mark.parametrize("size", sizes(dose=80, full=400))
def test_a_model_that_sends_more_than_may_be_kept(
    tmp_path: Path, upstream: Upstream, what: str, size: int
) -> None:
    """To five tasks at once, so that the dose too is more than may be kept."""
    _harmless(tmp_path, upstream, LONG[what](size))


@pytest.mark.parametrize("what", some_of(ENDLESS))
def test_a_model_that_never_comes_to_an_end(tmp_path: Path, upstream: Upstream, what: str) -> None:
    _harmless(tmp_path, upstream, ENDLESS[what])
