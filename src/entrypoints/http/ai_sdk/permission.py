"""Which chats a caller may use."""

from typing import Any

from litestar import Request

from application.accounts import Caller
from application.errors import UnknownTask
from entrypoints.http.ai_sdk.ids import chat_id_fault
from entrypoints.http.parts import REACHED_BY_NO_OTHER, HttpParts
from entrypoints.http.problems import bad_field, problem


def check_chat(chat_id: str, request: Request[Caller, Any, Any], parts: HttpParts) -> None:
    """Raise a problem unless the caller may use a chat: 400 for an id that no chat can have, 403
    where all callers are one owner and not all may be trusted, since pages choose ids that others
    can guess, and 403 for the token of another chat."""
    if fault := chat_id_fault(chat_id):
        raise bad_field("id", fault)
    if not parts.trusts_callers:
        raise problem(
            403,
            "chats-closed",
            "Without API keys, every caller could read and stop every chat. So chats exist only "
            f"while {REACHED_BY_NO_OTHER}: set LONGTASK_API_KEYS, or "
            "LONGTASK_TRUST_ALL_CALLERS=true.",
        )
    if request.auth is not None and request.auth != chat_id:
        raise problem(403, "chat-token-refused", "The token is for another chat.")


def check_task(chat_id: str | None, task_id: str, request: Request[Caller, Any, Any]) -> None:
    """Raise UnknownTask for a caller whose token is for another chat than that of the task."""
    if request.auth is not None and request.auth != chat_id:
        raise UnknownTask(task_id)
