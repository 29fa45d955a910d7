"""The HTTP API and the event streams, on Litestar."""
