"""From the body of `POST /api/chat/{id}/token` to what the token is to allow, and for how long."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from litestar import Request

from domain.errors import Fault
from entrypoints.http.access import CHAT_RIGHTS
from entrypoints.http.fields import Fields, raise_for
from entrypoints.http.json_body import read_json_object


@dataclass(frozen=True, slots=True)
class TokenRequest:
    ttl: float
    """Seconds."""
    may: Sequence[str]
    """Of CHAT_RIGHTS."""


async def read_token_request(request: Request[Any, Any, Any], longest: float) -> TokenRequest:
    """Read a body, which may be empty: the token then allows everything, for as long as tokens are
    good (`longest`, in seconds). Raises a problem (400, 413 or 415) with every fault."""
    body = await read_json_object(request, optional=True)
    faults: list[Fault] = []
    fields = Fields(body, "", faults)
    ttl = fields.number("ttl")
    if ttl is not None and not 1 <= ttl <= longest:
        fields.refuse("ttl", f"must be from 1 to {longest:g}")
    may = fields.array("may")
    if may is not None and (not may or any(each not in CHAT_RIGHTS for each in may)):
        choices = ", ".join(f'"{each}"' for each in CHAT_RIGHTS)
        fields.refuse("may", f"must hold one or more of {choices}")
    fields.refuse_unread()
    raise_for(faults)
    # Each once: a header of a request has room for a token only if it is short.
    rights = [each for each in CHAT_RIGHTS if may is None or each in may]
    return TokenRequest(longest if ttl is None else ttl, rights)
