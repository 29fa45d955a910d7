"""Clients that reset their connection, of the process that operators run: its event loop is uvloop,
which tells otherwise than asyncio that a connection is closed."""

import re
import socket
import struct
from pathlib import Path

import httpx

from tests.end_to_end.chat_client import ASKED, post
from tests.processes import found_in, process_of
from tests.raw_http import connect
from tests.waiting import eventually

RESET = struct.pack("ii", 1, 0)


def test_a_stream_whose_client_has_gone_before_it_begins_is_open_no_more(tmp_path: Path) -> None:
    asked = post({**ASKED, "stream": True}, {"X-Longtask-On-Disconnect": "cancel"})
    settings = {"LONGTASK_PORT": "0", "LONGTASK_LOG_FORMAT": "json"}
    with process_of(tmp_path, "serve", **settings) as (_, log):
        url = found_in(log)
        with connect(url) as connection:
            connection.sendall(asked.replace(b"localhost", httpx.URL(url).netloc))
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)

        def open_streams() -> list[str]:
            return re.findall(r"\nlongtask_open_streams (.*)", httpx.get(f"{url}/metrics").text)

        eventually(lambda: '"task cancelled"' in log.read_text())
        eventually(lambda: open_streams() == ["0.0"])
