"""The ids of tasks."""

import re

from domain.errors import MalformedTaskId

TASK_ID_PATTERN = r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}"
_TASK_ID = re.compile(TASK_ID_PATTERN)


def check_task_id(task_id: str) -> str:
    """Return `task_id` if it is a valid task id, else raise `MalformedTaskId`.

    More is valid than the ids that `TaskIds` makes: ids of the older system, and ids that a
    developer chooses. All are safe in a key, a URL and a log line.
    """
    if not _TASK_ID.fullmatch(task_id):
        raise MalformedTaskId("a task id is 1 to 128 letters, digits, '-' or '_'")
    return task_id
