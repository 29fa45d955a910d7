"""The host names at which a server accepts requests: the defence against DNS rebinding.

A page can make its own host name resolve to a private address. The browser then treats the server
at that address as the page's own origin, and the rules for cross-origin requests do not apply. The
Host header gives such a page away: the browser sends the page's name in it, and the page cannot
change it. An IP address and `localhost` are safe, since DNS does not resolve them.

Sources: RFC 9110, section 7.2 (Host); RFC 3986, section 3.2.2 (host); RFC 6761, section 6.3
(localhost).
"""

import re
from collections.abc import Collection
from ipaddress import IPv4Address, IPv6Address, ip_address

_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::([0-9]{0,5}))?", re.ASCII)


def host_of(header: str) -> str | None:
    """Return the host in a Host header, in lower case, without port, brackets and trailing dot, or
    None if the header is not a host with an optional port."""
    found = _HOST.fullmatch(header)
    if found is None:
        return None
    address, name, port = found.groups()
    if int(port or 0) > 65_535 or (address is not None and not _is_address(IPv6Address, address)):
        return None
    return (address or name).lower().removesuffix(".") or None


def is_ip_or_localhost(host: str) -> bool:
    """Whether a host, as `host_of` returns it, is one that DNS cannot redirect."""
    return host == "localhost" or _is_address(IPv4Address, host) or _is_address(IPv6Address, host)


def is_loopback(host: str | None) -> bool:
    """Whether only this machine can reach a server that listens on this address or name."""
    try:
        return ip_address(host or "").is_loopback
    except ValueError:
        return host == "localhost"


def local_url(host: str, port: int) -> str:
    """Where a program on this machine reaches a server that listens on this address or name."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def accepts_host(header: str | None, names: Collection[str]) -> bool:
    """Whether a server with these names (in lower case) may accept a request with this Host header.
    None stands for a request with no Host header or several."""
    host = None if header is None else host_of(header)
    return host is not None and (is_ip_or_localhost(host) or host in names)


def _is_address(kind: type[IPv4Address] | type[IPv6Address], text: str) -> bool:
    try:
        kind(text)
    except ValueError:
        return False
    return True
