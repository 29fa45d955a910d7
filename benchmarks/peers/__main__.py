"""Run a peer:

    python -m benchmarks.peers bare|sse-starlette|nchan|resumable-stream \\
        --clients 1000 --rate 50 --seconds 10 --redis URL
    python -m benchmarks.peers replay|sse-starlette-log|nchan|resumable-stream --events 10000 ...
    python -m benchmarks.peers relay --upstream URL --tokens 10000
    python -m benchmarks.peers litestar
    python -m benchmarks.peers fastapi-start --redis URL --queue URL
    python -m benchmarks.peers openai-sdk --upstream URL --tokens 10000
"""

import argparse
import secrets
from collections.abc import Callable, Coroutine
from typing import Any

import uvloop

from benchmarks.peers import ceilings, usual
from benchmarks.peers.frames import Shape
from benchmarks.peers.nchan import nchan
from benchmarks.peers.resumable import resumable_stream

Given = argparse.Namespace
PEERS: dict[str, Callable[[Shape, Given], Coroutine[Any, Any, None]]] = {
    "bare": lambda shape, _: ceilings.bare(shape),
    "replay": lambda shape, _: ceilings.replay(shape.events),
    "relay": lambda _, given: ceilings.relay(given.upstream, given.tokens),
    "litestar": lambda _, __: ceilings.litestar(),
    "openai-sdk": lambda _, given: ceilings.openai_sdk(given.upstream, given.tokens),
    "sse-starlette": lambda shape, given: usual.sse_starlette(shape, given.redis),
    "sse-starlette-log": lambda shape, given: usual.sse_starlette_log(shape, given.redis),
    "fastapi-start": lambda _, given: usual.fastapi_start(given.redis, given.queue),
    "nchan": lambda shape, _: nchan(shape, redis_url=""),
    "nchan-redis": lambda shape, given: nchan(shape, given.redis),
    "resumable-stream": lambda shape, given: resumable_stream(shape, given.redis),
}


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("peer", choices=PEERS)
    shape = {"clients": 1, "rate": 50, "seconds": 10, "size": 0, "events": 0}
    for name, default in shape.items():
        arguments.add_argument(f"--{name}", type=int, default=default)
    arguments.add_argument("--name", default=f"bench-{secrets.token_hex(8)}")
    arguments.add_argument("--redis", default="")
    arguments.add_argument("--queue", default="")
    arguments.add_argument("--upstream", default="")
    arguments.add_argument("--tokens", type=int, default=10_000)
    given = arguments.parse_args()
    shaped = Shape(name=given.name, **{name: getattr(given, name) for name in shape})
    uvloop.run(PEERS[given.peer](shaped, given))


if __name__ == "__main__":
    main()
