"""Resolves the names of receivers in threads of its own.

The event loop resolves all names in a few threads that it shares with the files and the other names
of the process. Anyone may name a receiver whose name server does not respond, and a look-up cannot
be given up: it outlasts the call that asked for it. So a name is looked up once at a time, however
many calls ask for it, and a call that comes while THREADS are under way is to come again. The
threads are daemons: the end of the process waits for none of them.
"""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable
from ipaddress import ip_address
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


def look_up_in_thread(look_up: LookUp, name: str) -> asyncio.Future[list[str]]:
    """Begin a look-up in a thread of its own, which goes on if the future is cancelled."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[list[str]] = loop.create_future()

    def settle(found: list[str] | Exception) -> None:
        if future.done():
            return
        if isinstance(found, Exception):
            future.set_exception(found)
        else:
            future.set_result(found)

    def run() -> None:
        found: list[str] | Exception
        try:
            found = look_up(name)
        except Exception as error:
            found = error
        with contextlib.suppress(RuntimeError):  # the event loop is closed
            loop.call_soon_threadsafe(settle, found)

    threading.Thread(target=run, name="webhook-name", daemon=True).start()
    return future


def host_key(host: str) -> str:
    """What all spellings of one host name, or of one IPv6 address, have in common. Punycode is
    ASCII, as all URLs are."""
    try:
        return str(ip_address(host))
    except ValueError:
        return host.lower().rstrip(".")


class ThreadsResolver(AbstractResolver):
    def __init__(self, look_up: LookUp) -> None:
        self._look_up = look_up
        self._under_way: dict[str, asyncio.Future[list[str]]] = {}

    def look_up_of(self, host: str) -> asyncio.Future[list[str]] | None:
        """Return the look-up of a host's name that is under way. It is never cancelled."""
        return self._under_way.get(host_key(host))

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
        if (under_way := self.look_up_of(host)) is not None:
            return under_way
        if len(self._under_way) >= THREADS:
            raise TooManyWebhooks("as many names as allowed are being looked up")
        key = host_key(host)
        found = self._under_way[key] = look_up_in_thread(self._look_up, host)

        def ended(found: asyncio.Future[list[str]]) -> None:
            del self._under_way[key]
            if not found.cancelled():
                found.exception()  # perhaps no caller waits for it any more

        found.add_done_callback(ended)
        return found

    async def close(self) -> None:
        """Look-ups that are under way end by themselves."""
