"""The ids of chats, which their pages choose, and those of tasks beside them."""

import re

_CHAT_ID = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9_.~:@-]{1,128}")
_TASK = "task_"


def chat_id_fault(chat_id: str) -> str | None:
    """Return what is wrong with the id of a chat, or None. It must fit into one segment of a path,
    and differ from the id of every task that this service makes."""
    if is_task_id(chat_id):
        return "must not begin with task_, as the ids of tasks do"
    if not _CHAT_ID.fullmatch(chat_id):
        return "must be 1 to 128 letters, digits or _.~:@-, and neither . nor .."
    return None


def is_task_id(text: str) -> bool:
    """Whether an id in the place of a chat's is that of a task."""
    return text.startswith(_TASK)
