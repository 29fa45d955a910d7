"""The idempotency key of a start: a header, and its bounds."""

from collections.abc import Mapping

from entrypoints.http.problems import FieldFault, invalid

IDEMPOTENCY_KEY_LIMIT = 255
"""Characters."""


def key_faults(key: str | None) -> list[FieldFault]:
    """What is wrong with the idempotency key of a start, if it has one."""
    if key is not None and not (
        0 < len(key) <= IDEMPOTENCY_KEY_LIMIT and key.isascii() and key.isprintable()
    ):
        message = f"must be 1 to {IDEMPOTENCY_KEY_LIMIT} printable characters"
        return [{"field": "Idempotency-Key", "message": message}]
    return []


def key_of(headers: Mapping[str, str]) -> str | None:
    """Return the idempotency key of a start, if it has one. Raises a problem (400)."""
    key = headers.get("idempotency-key")
    if faults := key_faults(key):
        raise invalid(faults)
    return key
