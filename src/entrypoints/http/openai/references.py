"""References to items of earlier responses, which some clients send in place of the items."""

from collections import Counter
from collections.abc import Iterable
from itertools import groupby

from application.errors import UnknownTask
from domain.errors import shown
from domain.messages import Message, text_message, tool_call
from domain.request import TaskRequest
from entrypoints.http.openai.ids import parse_item_id
from entrypoints.http.openai.response_state import ResponseState
from entrypoints.http.openai.views import ResponseView
from entrypoints.http.problems import problem
from entrypoints.http.sse.checkpoints import Views


async def resolve_references(
    ids: Iterable[str], views: Views[ResponseView], owner: str | None, max_bytes: int
) -> dict[str, Message | None]:
    """Return the message that each item stands for: None for reasoning and for what hosted tools
    did, which models are not sent again, and for items of lost attempts, which clients keep.
    `ids`: each as often as the input names it. Raises a problem for an item that was never told
    (404), and for items that take more than `max_bytes` (413): a reference of a hundred bytes may
    stand for megabytes. Raises Unreadable or StoreUnavailable."""
    named = Counter(ids)
    parsed = {id_: parse_item_id(id_) for id_ in named}
    found: dict[str, Message | None] = {}
    size = 0
    # By task, so that each log is folded once.
    for task_id, of_task in groupby(sorted(named, key=_task_in), key=_task_in):
        fold: ResponseState | None = None
        for id_ in of_task:
            if (item := parsed[id_]) is None:
                raise _unknown(id_)
            kind, _, index = item
            try:
                fold = fold or await (await views.of(task_id, owner)).now()
            except UnknownTask:
                raise _unknown(id_) from None
            if index >= fold.next_index:
                raise _unknown(id_)
            message = found[id_] = _message(kind, index, fold)
            if message is not None:
                size += named[id_] * TaskRequest(model="", messages=(message,)).size()
            if size > max_bytes:
                raise _too_large()
    return found


def _task_in(id_: str) -> str:
    """Return the task of an item's id; empty for what is none."""
    return id_.partition("_")[2].rpartition("_")[0]


def _message(kind: str, index: int, fold: ResponseState) -> Message | None:
    if kind == "msg" and fold.message is not None and fold.message.index == index:
        return text_message("assistant", fold.said_text.cut(0, fold.text_size))
    for call in fold.calls:
        if kind == "fc" and call.index == index:
            told = tool_call(call.call_id, call.name, call.arguments)
            return {"role": "assistant", "content": None, "tool_calls": [told]}
    return None


def _unknown(id_: str) -> Exception:
    message = f"Item with id '{shown(id_)}' not found."
    return problem(404, "item-not-found", message, errors=[{"field": "input", "message": message}])


def _too_large() -> Exception:
    message = "The items that the input refers to are larger than this service accepts."
    return problem(413, "body-too-large", message, errors=[{"field": "input", "message": message}])
