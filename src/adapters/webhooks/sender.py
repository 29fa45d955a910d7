"""WebhookSender through aiohttp.

Callers that start tasks name URLs that this service then calls from inside its network. So the
address is judged at the one place where all ways lead to a socket: a name that resolves to another
address in the next moment, one that is an address itself, each of several. Redirects are not
followed, the proxies of the environment are not used, and a receiver can hold up little: the time,
what is read, and how many are called at once are bounded.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import TypeAlias

import aiohttp
from yarl import URL

from adapters.webhooks.addresses import is_global
from adapters.webhooks.bounded_response import BoundedResponse
from adapters.webhooks.places import Places
from adapters.webhooks.resolver import LookUp, ThreadsResolver, host_key, look_up
from adapters.webhooks.signing import signed_headers
from application.errors import WebhookRefused, WebhookUnreachable
from application.ports import WebhookMessage, WebhookSecret, WebhookSender
from domain.webhook_url import url_fault

TIMEOUT = 10.0
"""Seconds for all of it: the name, the connection, the request and the head of the response."""
MAX_READ = 4096
"""Bytes of a response's body that are read, and thrown away, so that a receiver which responds with
a short text sees its connection end in order."""
LINGER = 1.0
"""Seconds for that, at most."""
RECEIVE_BUFFER = 8 * 1024
"""Bytes that the system takes in advance for each connection, more or less. What is left of a flood
comes in such portions, also where nothing here counts it: below TLS."""
STATUSES = range(100, 600)
"""Those of HTTP. A parser takes any three digits for one."""

_AddressInfo: TypeAlias = tuple[
    int, int, int, str, tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]
]
"""The family, type, protocol, name and address of a socket, as aiohttp gives them."""


class _ForbiddenAddress(OSError):
    """Raised in place of making a socket."""


class HttpWebhookSender(WebhookSender):
    def __init__(
        self,
        user_agent: str,
        *,
        allow_private: bool,
        timeout: float = TIMEOUT,
        look_up: LookUp = look_up,
        trusted: ssl.SSLContext | None = None,
    ) -> None:
        """`allow_private`: whether every address may be called. `timeout`: seconds. `trusted`:
        whose certificates are trusted; by default those that Python trusts."""
        self._headers = {
            "Content-Type": "application/json",
            "User-Agent": user_agent,
            "Accept-Encoding": "identity",
        }
        self._allow_private = allow_private
        self._timeout = timeout
        self._resolver = ThreadsResolver(look_up)
        self._places = Places(self._resolver.look_up_of)
        self._trusted = trusted
        self._session: aiohttp.ClientSession | None = None

    async def send(
        self,
        url: str,
        message: WebhookMessage,
        secrets: Sequence[WebhookSecret],
        owner: str | None = None,
    ) -> int:
        """Ends within TIMEOUT and LINGER. See the port."""
        target, host = _target(url, http_allowed=self._allow_private)
        headers = {**self._headers, **signed_headers(message, secrets)}
        with self._places.taken(host, owner), self._translated():
            async with self._opened().post(
                target, data=message.body, headers=headers, allow_redirects=False
            ) as response:
                with contextlib.suppress(
                    asyncio.IncompleteReadError, aiohttp.ClientError, TimeoutError
                ):
                    async with asyncio.timeout(LINGER):
                        await response.content.readexactly(MAX_READ)
                response.close()
                if response.status not in STATUSES:
                    raise WebhookUnreachable("no status of HTTP")
                return response.status
        raise AssertionError  # the statement above returns or raises

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()

    def _opened(self) -> aiohttp.ClientSession:
        """The session, which needs a running event loop."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    resolver=self._resolver,
                    socket_factory=self._make_socket,
                    ssl=True if self._trusted is None else self._trusted,
                    use_dns_cache=False,
                    force_close=True,
                    limit=0,
                ),
                response_class=BoundedResponse,
                timeout=aiohttp.ClientTimeout(total=self._timeout),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                read_bufsize=MAX_READ,
                trust_env=False,
            )
        return self._session

    def _make_socket(self, info: _AddressInfo) -> socket.socket:
        """Make the socket that is then connected to this very address."""
        family, kind, protocol, _, address = info
        if not (self._allow_private or is_global(str(address[0]))):
            raise _ForbiddenAddress("not an address on the internet")
        made = socket.socket(family, kind, protocol)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        return made

    @contextmanager
    def _translated(self) -> Generator[None, None, None]:
        """Translate what aiohttp raises. Its own messages name hosts and addresses."""
        try:
            yield
        except TimeoutError as error:
            raise WebhookUnreachable(f"no response within {self._timeout:g} seconds") from error
        except aiohttp.ClientConnectorDNSError as error:
            raise WebhookUnreachable("its name does not resolve") from error
        except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientSSLError) as error:
            raise WebhookUnreachable("no TLS connection with a valid certificate") from error
        except aiohttp.ClientConnectorError as error:
            if isinstance(error.os_error, _ForbiddenAddress):
                raise WebhookRefused("the target is not on the internet") from error
            raise WebhookUnreachable("no connection") from error
        except aiohttp.InvalidURL as error:
            raise WebhookRefused("the URL is not valid") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise WebhookUnreachable("no response in HTTP") from error


def _target(url: str, *, http_allowed: bool) -> tuple[URL, str]:
    """Return the URL, and the key of its host. Raises WebhookRefused for one that may not be
    called: what was allowed when it was queued, such as http, may not be any more. And aiohttp
    cannot read some that `url_fault` passes, such as https://xn--/."""
    if (fault := url_fault(url, http_allowed=http_allowed)) is not None:
        raise WebhookRefused(f"the URL {fault}")
    try:
        target = URL(url, encoded=True)
        host = target.host or ""  # decodes punycode
    except ValueError:
        raise WebhookRefused("the URL is not valid") from None
    return target, host_key(target.raw_host or host)
