"""What this adapter relies on of QStash's SDK that the SDK does not document.

When an upgrade moves any of it, tests/unit/test_private_parts.py fails and names it.
"""

import re

import httpx
from qstash import AsyncQStash
from qstash.asyncio.http import AsyncHttpClient
from qstash.errors import QStashError

PRIVATE_PARTS = {AsyncQStash: ("http",), AsyncHttpClient: ("_client",)}
"""By class: attributes that its instances have from the start."""
FAILED = "Request failed with status: "
WORDS = {"qstash.http": FAILED}
"""By module: what it writes into an exception, and what is read there."""

_SERVER_FAULT = re.compile(rf"{FAILED}5\d\d\b")


def http_client_of(client: AsyncQStash) -> httpx.AsyncClient:
    """The client that makes the calls. The SDK has no option for what it does, and no way to close
    it."""
    return client.http._client


def is_server_fault(error: QStashError) -> bool:
    """Whether the response had a status of 500 or more: the error names it in its message only."""
    return _SERVER_FAULT.match(str(error)) is not None
