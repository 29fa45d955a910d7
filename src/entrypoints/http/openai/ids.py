"""The ids of the OpenAI face: each holds the id of its task, so that no other store is needed."""

from application.errors import UnknownTask
from domain.errors import MalformedTaskId
from domain.task import check_task_id

RESPONSE, CHAT = "resp_", "chatcmpl-"


def response_id(task_id: str) -> str:
    return RESPONSE + task_id


def task_of_response(id_: str) -> str:
    """Return the id of a response's task. Raises UnknownTask for what is no id of a response."""
    try:
        if id_.startswith(RESPONSE):
            return check_task_id(id_.removeprefix(RESPONSE))
    except MalformedTaskId:
        pass
    raise UnknownTask(id_)


def item_id(kind: str, task_id: str, index: int) -> str:
    """Return the id of an output item: `kind` is `msg`, `rs` or `fc`, `index` its output index."""
    return f"{kind}_{task_id}_{index}"
