"""The sockets that the service and the local QStash listen on, bound before either starts."""

import errno
import socket

from entrypoints.host_names import local_url

SEND_BUFFER = 128 * 1024
"""Bytes that the kernel keeps for a client that does not read (the kernel doubles the number). By
default it keeps up to 4 MB. No bound of ours counts these, and the kernel accepts more so late that
a client that reads slowly seems to read nothing."""


class AddressTaken(Exception):
    """Raised when an address cannot be listened on."""


def listen(host: str, port: int, port_setting: str = "LONGTASK_PORT") -> socket.socket:
    """Bind a socket. Raises AddressTaken, whose message names `port_setting` if another port would
    help."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        # create_server repeats the address behind the system's own words.
        reason, _, _ = (error.strerror or "").partition(" (while")
        fixable = error.errno in (errno.EADDRINUSE, errno.EACCES)
        advice = f"; set {port_setting} to another port" if fixable else ""
        raise AddressTaken(f"cannot listen on {host} port {port}: {reason}{advice}") from error
    # Its connections inherit both. (asyncio's own loop does not set the second for a socket that it
    # is given, and then a body waits 40 ms behind its head.)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def url_of(listener: socket.socket) -> str:
    """Where a program on this machine reaches it."""
    host, port = listener.getsockname()[:2]
    return local_url(host, port)
