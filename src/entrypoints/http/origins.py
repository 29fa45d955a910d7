"""What is checked first of every request that has a route. It protects against requests that a
foreign page makes a browser send, and against requests that can be read in two ways.

- *DNS rebinding*: without API keys, a Host that is a name must be one of ours (`host_names`).
- *Cross-site requests*: a request that changes something must come from our own pages, from an
  origin that the settings name, or from a client that is no browser. A browser says where a request
  comes from in Sec-Fetch-Site (W3C Fetch Metadata), or at least in Origin (RFC 6454), and no page
  can change either.
- *Repeated parameters*: a parameter that is repeated is an error, unless it is a list. Otherwise
  two readers of the query could each use another of the values.
"""

from collections import Counter
from collections.abc import Collection
from typing import Any
from urllib.parse import urlsplit

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from entrypoints.host_names import accepts_host, host_of, is_loopback
from entrypoints.http.problems import invalid, problem

CHANGES = "changes_something"
"""Mark (in a handler's `opt`) of a GET that changes something."""
ANY_HOST = "any_host"
"""Mark of a route that is served under any name, and without one: HAProxy's health check sends no
Host."""
NAMES_REPEATED = "names_repeated_parameters"
"""Mark of a route that refuses repeated parameters by itself, since some of its own are lists."""
HOSTS_KEPT = 64
"""Host headers that are remembered once they passed. There are few, but any address may be one."""
NAMED = 10
"""Repeated parameters that an error names. There may be thousands."""
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

_Connection = ASGIConnection[Any, Any, Any, Any]


class Origins:
    def __init__(
        self, *, hosts: Collection[str] | None, base_url: str | None, allowed: Collection[str]
    ) -> None:
        """`hosts` are the names under which the service may be addressed, beside IP addresses and
        localhost (None: any name, since callers are known by their keys). Pages of the `allowed`
        origins, and of that of `base_url`, may change things."""
        self._hosts = hosts
        self._answered: set[str] = set()  # Host headers that passed
        self._allowed = frozenset(allowed) | ({_origin(base_url)} if base_url else frozenset())

    def check(self, connection: _Connection, handler: BaseRouteHandler) -> None:
        """Raises a problem: 403 for a foreign name or page, 400 for a repeated parameter."""
        headers = connection.headers
        host = headers.get("host")
        if (
            self._hosts is not None
            and not handler.opt.get(ANY_HOST)
            and host not in self._answered
            and not self._answers(host, self._hosts)
        ):
            raise problem(
                403,
                "unknown-host",
                "This service is not known by this name. "
                "LONGTASK_ALLOWED_HOSTS or BASE_URL can add it.",
            )
        if connection.scope["query_string"] and not handler.opt.get(NAMES_REPEATED):
            _refuse_repeated(connection)
        method = connection.scope.get("method", "GET")
        hidden, keyed = bool(handler.opt.get(CHANGES)), "authorization" in headers
        if (hidden or method not in SAFE_METHODS) and not self._may_change(
            headers.get("sec-fetch-site"), headers.get("origin"), host, hidden=hidden, keyed=keyed
        ):
            raise problem(
                403,
                "cross-origin",
                "A page of another origin may not do this. LONGTASK_CORS_ORIGINS can allow it.",
            )

    def _answers(self, host: str | None, names: Collection[str]) -> bool:
        passed = accepts_host(host, names)
        if passed and host is not None and len(self._answered) < HOSTS_KEPT:
            self._answered.add(host)
        return passed

    def _may_change(
        self, site: str | None, origin: str | None, host: str | None, *, hidden: bool, keyed: bool
    ) -> bool:
        """`hidden`: the change is made by a GET. With a GET a browser sends no Origin, and
        Sec-Fetch-Site only to https and to this machine. So a GET without either must be to this
        machine, or carry a key (`keyed`), which no foreign page can send."""
        if origin is not None and origin in self._allowed:
            return True
        if site is not None:
            return site in ("same-origin", "none")
        if hidden and origin is None and not keyed:
            return is_loopback(host_of(host or ""))
        return origin is None or origin in (f"http://{host}", f"https://{host}")


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _refuse_repeated(connection: _Connection) -> None:
    names = Counter(name for name, _ in connection.query_params.multi_items())
    repeated = [name for name, times in names.items() if times > 1]
    if repeated:
        raise invalid([{"field": name, "message": "is given twice"} for name in repeated[:NAMED]])
