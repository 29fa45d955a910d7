"""The ceilings: what can be done at all, by programs that do nothing else.

`bare` is a uvloop server that writes encoded frames to sockets: the most that a Python process can
do. It serves GET / as an event stream of `--rate` stamped tokens a second, which begins once
`--clients` clients are connected. `replay` writes `--events` encoded frames at once. `relay` copies
a stream of the upstream to each client. `litestar` responds with an empty JSON object.
`openai-sdk` serves nothing: it reads a completion through OpenAI's SDK and prints how many tokens a
second it parsed.
"""

import asyncio
import json
import time
from typing import Any

from benchmarks.peers.frames import (
    END,
    HEAD,
    OPENED,
    Shape,
    chunk,
    content,
    listening,
    on_uvicorn,
    paced,
)


async def bare(shape: Shape) -> None:
    clients: set[Any] = set()
    complete = asyncio.Event()
    number = 0

    class Client(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            self.transport.write(HEAD + chunk(OPENED))
            clients.add(self.transport)
            if len(clients) == shape.clients:
                complete.set()

        def connection_lost(self, exc: Exception | None) -> None:
            clients.discard(self.transport)

    def publish(data: bytes) -> None:
        nonlocal number
        number += 1
        frame = chunk(b"id: 0123456789abcdef-%d\ndata: %b\n\n" % (number, data))
        for client in list(clients):
            client.write(frame)

    await listening(Client)
    await complete.wait()
    await asyncio.sleep(1)
    await paced(shape, publish)
    while clients:
        await asyncio.sleep(0.1)


async def replay(events: int) -> None:
    frames = chunk(b"".join([content(number + 1) for number in range(events)]) + END)

    class Client(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            self.transport.write(HEAD + frames)

    await (await listening(Client)).serve_forever()


async def relay(url: str, tokens: int) -> None:
    loop = asyncio.get_running_loop()
    host, port = url.removeprefix("http://").partition("/")[0].split(":")
    body = json.dumps({"messages": [{"content": f"{tokens} 30"}]}).encode()
    request = b"POST / HTTP/1.1\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)

    class Source(asyncio.Protocol):
        def __init__(self, client: Any) -> None:
            self.client = client

        def connection_made(self, transport: Any) -> None:
            transport.write(request)

        def data_received(self, data: bytes) -> None:
            self.client.write(data)

        def connection_lost(self, exc: Exception | None) -> None:
            self.client.close()

    class Client(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            source = loop.create_connection(lambda: Source(self.transport), host, int(port))
            self.opening = asyncio.ensure_future(source)

    await (await listening(Client)).serve_forever()


async def litestar() -> None:
    from litestar import Litestar, post  # noqa: PLC0415

    @post("/", status_code=200)
    async def empty() -> dict[str, str]:
        return {}

    _, serving = await on_uvicorn(Litestar([empty], openapi_config=None))
    await serving


async def openai_sdk(url: str, tokens: int) -> None:
    from openai import AsyncOpenAI  # noqa: PLC0415

    async with AsyncOpenAI(api_key="bench", base_url=url) as client:
        for number in (100, tokens):  # the first warms up
            began, seen = time.perf_counter(), 0
            stream = await client.chat.completions.create(
                model="bench",
                messages=[{"role": "user", "content": f"{number} 0"}],
                stream=True,
            )
            async for chunk in stream:
                seen += bool(chunk.choices and chunk.choices[0].delta.content)
            assert seen == number, seen
            took = time.perf_counter() - began
    print(tokens / took)
