"""How a destination responds to one delivery."""

from collections.abc import Mapping
from dataclasses import dataclass

import httpx

from entrypoints.local_qstash.bounds import READING_BYTES, RESPONSE_BYTES, SMALL_BYTES

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


@dataclass(slots=True)
class Reading:
    """How many bytes the responses may still have, all together, that are being read."""

    left: int = READING_BYTES


async def read_response(response: httpx.Response, reading: Reading) -> DeliveryResponse:
    """Read a response whose body has not been read, up to RESPONSE_BYTES of it, or to SMALL_BYTES
    and what there is room for in `reading`. The body is not decompressed, since a few bytes could
    become very many."""
    headers: dict[str, list[str]] = {}
    for name, value in response.headers.multi_items():
        headers.setdefault(name, []).append(value)
    body = bytearray()
    taken = 0
    try:
        async for piece in response.aiter_raw():
            most = min(RESPONSE_BYTES, max(SMALL_BYTES, len(body)) + reading.left)
            body += piece[: most - len(body)]
            more = max(0, len(body) - SMALL_BYTES) - taken
            taken += more
            reading.left -= more
            if len(body) == most:
                break
    finally:
        reading.left += taken
    return DeliveryResponse(response.status_code, headers, bytes(body))
