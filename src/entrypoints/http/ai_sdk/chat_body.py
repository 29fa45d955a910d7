"""From the body of `POST /api/chat` to the request of a task."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from application.start_in_chat import REGENERATE, SUBMIT
from domain.errors import Fault
from domain.messages import MESSAGES_LIMIT, PARTS_LIMIT
from domain.request import DEFAULT_BOUNDS, RequestBounds, TaskRequest
from entrypoints.http.ai_sdk.ids import chat_id_fault
from entrypoints.http.ai_sdk.ui_messages import Origin, read_ui_messages, visible
from entrypoints.http.ai_sdk.ui_state import SDKS
from entrypoints.http.fields import UNSUPPORTED, Fields, refuse_if
from entrypoints.http.problems import camel
from entrypoints.http.request_defaults import RequestDefaults

_REFUSED = {
    **UNSUPPORTED,
    "prompt": "is not accepted: use messages",
    "previousTaskId": "is not accepted: send the whole conversation",
}
"""Fields of the native API."""
_IN_MESSAGE = re.compile(r"messages\[(\d+)\](?:\.content\[(\d+)\])?.*", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatAsked:
    """What a page asks for with a body."""

    request: TaskRequest
    chat_id: str | None
    """None: the page names no chat. WorkflowChatTransport does so by default."""
    trigger: str
    """SUBMIT or REGENERATE."""
    origins: tuple[Origin, ...] = ()
    """Of the messages of the request, one for each."""

    def param_of(self, field: str) -> str:
        """Return what the client wrote for a field of the request, for faults that are found
        later."""
        if (found := _IN_MESSAGE.fullmatch(field)) and int(found[1]) < len(self.origins):
            origin, part = self.origins[int(found[1])], int(found[2] or 0)
            inside = found[2] is not None and part < len(origin.urls)
            return origin.urls[part] if inside else origin.place
        if field.startswith(("messages", "prompt", "echo")):
            return "messages"
        return camel(field)


def read_chat(
    body: Mapping[str, Any], defaults: RequestDefaults, bounds: RequestBounds = DEFAULT_BOUNDS
) -> ChatAsked:
    """Read a body. Raises a problem (400) with every fault, the broken `bounds` included, if it has
    not the shape that it should have. If it has, the bounds are for the use case to check."""
    faults: list[Fault] = []
    fields = Fields(body, "", faults)
    fields.refuse_given(_REFUSED)
    chat_id = fields.text("id")
    if chat_id is not None and (wrong := chat_id_fault(chat_id)):
        fields.refuse("id", wrong)
    trigger = fields.choice("trigger", (SUBMIT, REGENERATE)) or SUBMIT
    fields.text("messageId")  # of the message that is answered anew: the messages end before it
    messages = _read_messages(fields)
    known = len(faults)
    read = read_ui_messages(messages, faults)
    if messages and not read.messages and len(faults) == known:
        fields.refuse("messages", "must hold a message that says something")
    fields.inner("options")
    options = fields.value("options")
    request = defaults.request(
        model=fields.text("model"),
        max_tokens=fields.whole("maxTokens"),
        temperature=fields.number("temperature"),
        messages=tuple(read.messages),
        system=fields.text("system"),
        options=options if isinstance(options, dict) else None,
        metadata=fields.texts("metadata"),
        ttl=fields.whole("ttl"),
        echo=_read_echo(fields, chat_id, messages),
    )
    fields.refuse_unread()
    asked = ChatAsked(
        request=request, chat_id=chat_id, trigger=trigger, origins=tuple(read.origins)
    )
    refuse_if(faults, request, bounds, asked.param_of)
    return asked


def _read_messages(fields: Fields) -> Sequence[Any]:
    """Return the messages of the page, unless there are none, or more than are read."""
    messages = fields.array("messages") or ()
    each_parts = (each.get("parts") for each in messages if isinstance(each, dict))
    parts = sum(len(each) for each in each_parts if isinstance(each, list))
    if fields.value("messages") is None:
        fields.refuse("messages", "is required")
    elif fields.value("messages") == []:
        fields.refuse("messages", "must not be empty")
    elif len(messages) > MESSAGES_LIMIT:
        fields.refuse("messages", f"must be at most {MESSAGES_LIMIT} messages")
    elif parts > PARTS_LIMIT:
        fields.refuse("messages", f"must hold at most {PARTS_LIMIT} parts")
    else:
        return messages
    return ()


def _read_echo(fields: Fields, chat_id: str | None, messages: Sequence[Any]) -> dict[str, Any]:
    """Return what the answer's stream needs: the version, the chat, and the message of the
    assistant that the answer continues, if there is one."""
    version = fields.whole("sdk")
    if version is not None and version not in SDKS:
        fields.refuse("sdk", "must be 5, 6 or 7")
    echo: dict[str, Any] = {"api": "ai-sdk", "sdk": version or SDKS[-1]}
    if chat_id is not None:
        echo["chatId"] = chat_id
    last = messages[-1] if messages else None
    if isinstance(last, dict) and last.get("role") == "assistant":
        if last.get("id") in (None, ""):
            place = f"messages[{len(messages) - 1}].id"
            fields.refuse(place, "is required: the answer continues this message")
        parts = last.get("parts")
        parts = parts if isinstance(parts, list) else []
        echo["message"] = {"id": last.get("id"), "parts": [parts[each] for each in visible(parts)]}
        if last.get("metadata") is not None:
            echo["message"]["metadata"] = last["metadata"]
    return echo
