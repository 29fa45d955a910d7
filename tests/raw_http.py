"""HTTP as bytes: what a client's library would not send."""

import contextlib
import socket
from collections.abc import Iterable

import httpx

GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
LAST_GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
HEAD = b"POST /api/tasks/start HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
ENDLESS = {
    "header": b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Endless: ",
    "header name": b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-",
    "path": b"GET /",
    "query": b"GET /healthz?",
    "chunk extension": CHUNKED + b"1;x=",
    "trailer": CHUNKED + b"2\r\n{}\r\n0\r\nX-Endless: ",
    "trailer name": CHUNKED + b"2\r\n{}\r\n0\r\nX-",
}
"""What never ends, by the part of a request that does not."""


def connect(url: str, timeout: float = 15.0, receive_buffer: int = 0) -> socket.socket:
    where = httpx.URL(url)
    connection = socket.socket()
    if receive_buffer:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    connection.settimeout(timeout)
    connection.connect((where.host, where.port or 80))
    return connection


def received(connection: socket.socket) -> bytes:
    """All that comes until the server hangs up."""
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(65536):
            data += part
    return data


def received_until(connection: socket.socket, text: bytes) -> bytes:
    """What comes up to some text, and with it."""
    data = b""
    while text not in data:
        part = connection.recv(65536)
        assert part, data[-200:]
        data += part
    return data


def conversation(url: str, parts: Iterable[bytes], timeout: float = 15.0) -> bytes:
    """Send the parts, as long as the server takes them; return all that it sends back until it
    hangs up."""
    with connect(url, timeout) as connection:
        with contextlib.suppress(ConnectionError):
            for part in parts:
                connection.sendall(part)
        return received(connection)
