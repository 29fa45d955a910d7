"""Read the list of models that a server offers, which servers write in several ways."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec

from adapters.openai.errors import unreadable
from application.ports import OfferedModel

MODELS_TIMEOUT = 10.0
"""Seconds for the whole list."""
LIST_LIMIT = 4 * 1024 * 1024
"""Bytes. The list of a server with hundreds of models has half a million."""
NAME_LIMIT = 200
"""Characters. No request could name a longer one."""

_decode = msgspec.json.Decoder().decode


async def read_models(body: AsyncIterator[bytes]) -> Sequence[OfferedModel]:
    """Read a list, and leave out what has no name. Raises ModelUnavailable for a body that is
    none."""
    content = bytearray()
    async for piece in body:
        content += piece
        if len(content) > LIST_LIMIT:
            raise unreadable()
    try:
        listed = _decode(content)
    except (ValueError, RecursionError):
        raise unreadable() from None
    models = listed.get("data") if isinstance(listed, dict) else listed
    if not isinstance(models, list):
        raise unreadable()
    return [model for each in models if (model := _model(each)) is not None]


def _model(told: Any) -> OfferedModel | None:
    name = told.get("id") if isinstance(told, dict) else None
    if not isinstance(name, str) or not 0 < len(name) <= NAME_LIMIT:
        return None
    created, owner = told.get("created"), told.get("owned_by")
    timed = isinstance(created, int | float) and 0 <= created < 2**53
    return OfferedModel(name, int(created) if timed else 0, owner if isinstance(owner, str) else "")
