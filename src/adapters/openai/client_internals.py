"""What this adapter relies on of OpenAI's client that the client does not document.

When an upgrade moves any of it, tests/unit/test_private_parts.py fails and names it.
"""

import contextlib
from importlib import import_module

_TRANSPORT = "openai._vendor.httpx_aiohttp.transport"
WORDS = {_TRANSPORT: "self._aiohttp_response.content.iter_chunked(self.CHUNK_SIZE)"}
"""By module: what its source says."""


def read_at_once(size: int) -> None:
    """Have every client of this process read up to `size` bytes of a body in one step, as far as
    they have arrived. The client's own bound, 16 KiB, stays if an upgrade has moved it."""
    with contextlib.suppress(ImportError, AttributeError):
        import_module(_TRANSPORT).AiohttpResponseStream.CHUNK_SIZE = size
