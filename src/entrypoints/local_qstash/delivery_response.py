"""How a destination responds to one delivery."""

from collections.abc import Mapping
from dataclasses import dataclass

import httpx

from entrypoints.local_qstash.bounds import RESPONSE_BYTES

NON_RETRYABLE_STATUS = 489


@dataclass(frozen=True, slots=True)
class DeliveryResponse:
    """The destination's response. Status 0 means that there was none, and `body` says why."""

    status: int
    headers: Mapping[str, list[str]]
    body: bytes

    @property
    def delivered(self) -> bool:
        return 200 <= self.status < 300

    @property
    def final(self) -> bool:
        """Whether the destination forbids further retries."""
        marks = self.headers.get("upstash-nonretryable-error", [])
        return self.status == NON_RETRYABLE_STATUS and "true" in marks


async def read_response(response: httpx.Response) -> DeliveryResponse:
    """Read a response whose body has not been read, up to RESPONSE_BYTES of it. The body is not
    decompressed, since a few bytes could become very many."""
    headers: dict[str, list[str]] = {}
    for name, value in response.headers.multi_items():
        headers.setdefault(name, []).append(value)
    body = bytearray()
    async for piece in response.aiter_raw():
        body += piece[: RESPONSE_BYTES - len(body)]
        if len(body) == RESPONSE_BYTES:
            break
    return DeliveryResponse(response.status_code, headers, bytes(body))
