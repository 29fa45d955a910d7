"""Responses to HTTP/1.0, which has no chunks. nginx speaks it to what is behind it by default."""

from typing import Any

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle


class UnframedCycle(RequestResponseCycle):
    """A response without a length ends with the connection."""

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            names = {name.lower() for name, _ in message.get("headers", ())}
            if b"content-length" not in names:
                self.chunked_encoding = False
        elif self.chunked_encoding is False and self.expected_content_length == 0:
            self.expected_content_length = len(message.get("body", b""))
        await super().send(message)
