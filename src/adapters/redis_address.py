"""Which Redis a URL names: one server, the master of a Sentinel's service, or a Cluster.

    redis://[user:password@]host[:port][/database]      unix://path
    redis+sentinel://[user:password@]host[:port][,host[:port]...]/service[/database]
    redis+cluster://[user:password@]host[:port][,host[:port]...]

`rediss` for `redis` is the same over TLS. The query takes redis-py's options of a connection
(ssl_ca_certs, for one), and for a Sentinel with a password of its own `sentinel_username` and
`sentinel_password`. Nothing is connected here, and redis-py is loaded once there is a URL: with a
data file the service starts without it.
"""

from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

_SENTINEL_OPTIONS = ("sentinel_username", "sentinel_password")


class MalformedUrl(ValueError):
    """Raised for a URL that names no Redis."""


@dataclass(frozen=True, slots=True)
class Address:
    kind: Literal["server", "sentinel", "cluster"]
    hosts: tuple[tuple[str, int], ...]
    """None for a socket in the file system."""
    service: str
    sentinel_login: dict[str, str]
    options: dict[str, Any]
    """Of a connection, by redis-py's names: user, password, database, TLS, path."""


def parse_address(url: str) -> Address:
    """Return what a URL names. Raises MalformedUrl, which does not repeat the URL: it may hold a
    password."""
    try:
        return _parse(urlsplit(url))
    except MalformedUrl:
        raise
    except (ValueError, TypeError) as error:  # a port that is no number, an unknown option
        raise MalformedUrl(str(error)) from None


def _parse(parts: SplitResult) -> Address:
    scheme, _, kind = parts.scheme.partition("+")
    if scheme == "unix" and not kind:
        return Address("server", (), "", {}, _options(parts))
    if scheme not in ("redis", "rediss") or kind not in ("", "sentinel", "cluster"):
        raise MalformedUrl(
            "must be a redis://, rediss://, unix://, redis+sentinel:// or redis+cluster:// URL"
        )
    login, _, where = parts.netloc.rpartition("@")
    hosts = tuple(_host(each, 26379 if kind == "sentinel" else 6379) for each in where.split(","))
    if kind != "sentinel":
        if kind == "" and len(hosts) > 1:
            raise MalformedUrl("several hosts need redis+sentinel:// or redis+cluster://")
        if kind == "cluster" and parts.path.strip("/"):
            raise MalformedUrl("a cluster has no numbered databases")
        plain = parts._replace(scheme=scheme, netloc=f"{login}@{where.split(',')[0]}")
        return Address("cluster" if kind else "server", hosts, "", {}, _options(plain))
    service, _, database = parts.path.strip("/").partition("/")
    if not service:
        raise MalformedUrl("names no service: redis+sentinel://host/service")
    query = dict(parse_qsl(parts.query))
    own = {
        name.removeprefix("sentinel_"): query.pop(name)
        for name in _SENTINEL_OPTIONS
        if name in query
    }
    plain = parts._replace(
        scheme=scheme, netloc=f"{login}@unknown", path=f"/{database}", query=urlencode(query)
    )
    return Address("sentinel", hosts, service, own, _options(plain))


def _host(text: str, default_port: int) -> tuple[str, int]:
    host = urlsplit(f"//{text}")
    if host.hostname is None:
        raise MalformedUrl("names no host")
    return host.hostname, host.port or default_port


def _options(parts: SplitResult) -> dict[str, Any]:
    from redis.asyncio.connection import SSLConnection, parse_url  # noqa: PLC0415

    options: dict[str, Any] = dict(parse_url(parts.geturl()))
    kind = options.pop("connection_class", None)
    if kind is SSLConnection:
        options["ssl"] = True
    for name in ("host", "port"):
        options.pop(name, None)
    return options
