"""Resolves the names of receivers in threads of its own.

The event loop resolves all names in a few threads that it shares with the files and the other names
of the process. Anyone may name a receiver whose name server does not respond, and a look-up cannot
be given up: here it holds up other webhooks only.
"""

import asyncio
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias

from aiohttp.abc import AbstractResolver, ResolveResult

THREADS = 8
"""Look-ups at a time."""

LookUp: TypeAlias = Callable[[str], list[str]]
"""Returns the addresses of a name. Raises OSError."""


def look_up(name: str) -> list[str]:
    """Ask the resolver of this machine."""
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except UnicodeError as error:  # a label that is too long, for example
        raise socket.gaierror(socket.EAI_NONAME, "not a name") from error
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


class ThreadsResolver(AbstractResolver):
    def __init__(self, look_up: LookUp) -> None:
        self._look_up = look_up
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="webhook-names")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        loop = asyncio.get_running_loop()
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for address in await loop.run_in_executor(self._threads, self._look_up, host)
        ]

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
