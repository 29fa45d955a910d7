"""Resolves the names of receivers in threads of its own.

The event loop resolves all names in a few threads that it shares with the files and the other names
of the process. Anyone may name a receiver whose name server does not respond, and a look-up cannot
be given up: it outlasts the call that asked for it. So a name is looked up once at a time, however
many calls ask for it, and a call that finds no thread free is to come again.
"""

import asyncio
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias

from aiohttp.abc import AbstractResolver, ResolveResult

from application.errors import TooManyWebhooks

THREADS = 64
"""Names that are looked up at a time."""

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
        self._under_way: dict[str, asyncio.Future[list[str]]] = {}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Raises TooManyWebhooks while THREADS other names are being looked up."""
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for address in await asyncio.shield(self._looked_up(host))
        ]

    def _looked_up(self, host: str) -> asyncio.Future[list[str]]:
        if (under_way := self._under_way.get(host)) is not None:
            return under_way
        if len(self._under_way) >= THREADS:
            raise TooManyWebhooks("as many names as allowed are being looked up")
        loop = asyncio.get_running_loop()
        found = loop.run_in_executor(self._threads, self._look_up, host)
        self._under_way[host] = found

        def ended(found: asyncio.Future[list[str]]) -> None:
            del self._under_way[host]
            if not found.cancelled():
                found.exception()  # perhaps no caller waits for it any more

        found.add_done_callback(ended)
        return found

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
