"""What this adapter relies on of OpenAI's client that the client does not document.

When an upgrade moves any of it, tests/unit/test_private_parts.py fails and names it.
"""

import contextlib
from importlib import import_module

import openai

_TRANSPORT = "openai._vendor.httpx_aiohttp.transport"
HEADERS = {"Accept-Encoding": "identity"}
WORDS = {_TRANSPORT: "self._aiohttp_response.content.iter_chunked(self.CHUNK_SIZE)"}
"""By module: what its source says."""


PRIVATE_PARTS = {openai.AsyncOpenAI: ("_custom_headers",)}


def forget_environment(client: openai.AsyncOpenAI) -> None:
    """Have a client send no header that the environment names: `OPENAI_ORG_ID`, `OPENAI_PROJECT_ID`
    and `OPENAI_CUSTOM_HEADERS`, which may hold keys, are meant for one server."""
    client.organization = client.project = None
    client._custom_headers = dict(HEADERS)


def read_at_once(size: int) -> None:
    """Have every client of this process read up to `size` bytes of a body in one step, as far as
    they have arrived. The client's own bound, 16 KiB, stays if an upgrade has moved it."""
    with contextlib.suppress(ImportError, AttributeError):
        import_module(_TRANSPORT).AiohttpResponseStream.CHUNK_SIZE = size
