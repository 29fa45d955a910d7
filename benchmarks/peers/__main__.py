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
from collections.abc import Callable, Coroutine
from typing import Any

import uvloop

from benchmarks.peers import ceilings, usual
from benchmarks.peers.nchan import nchan
from benchmarks.peers.resumable import resumable_stream

PEERS: dict[str, Callable[[argparse.Namespace], Coroutine[Any, Any, None]]] = {
    "bare": lambda given: ceilings.bare(given.clients, given.rate, given.seconds),
    "replay": lambda given: ceilings.replay(given.events),
    "relay": lambda given: ceilings.relay(given.upstream, given.tokens),
    "litestar": lambda _: ceilings.litestar(),
    "openai-sdk": lambda given: ceilings.openai_sdk(given.upstream, given.tokens),
    "sse-starlette": lambda given: usual.sse_starlette(
        given.clients, given.rate, given.seconds, given.redis
    ),
    "sse-starlette-log": lambda given: usual.sse_starlette_log(given.events, given.redis),
    "fastapi-start": lambda given: usual.fastapi_start(given.redis, given.queue),
    "nchan": lambda given: nchan(
        given.clients, given.rate, given.seconds, given.events, redis_url=""
    ),
    "nchan-redis": lambda given: nchan(
        given.clients, given.rate, given.seconds, given.events, given.redis
    ),
    "resumable-stream": lambda given: resumable_stream(
        given.clients, given.rate, given.seconds, given.events, given.redis
    ),
}


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("peer", choices=PEERS)
    arguments.add_argument("--clients", type=int, default=1)
    arguments.add_argument("--rate", type=int, default=50)
    arguments.add_argument("--seconds", type=int, default=10)
    arguments.add_argument("--redis", default="")
    arguments.add_argument("--queue", default="")
    arguments.add_argument("--events", type=int, default=0)
    arguments.add_argument("--upstream", default="")
    arguments.add_argument("--tokens", type=int, default=10_000)
    given = arguments.parse_args()
    uvloop.run(PEERS[given.peer](given))


if __name__ == "__main__":
    main()
