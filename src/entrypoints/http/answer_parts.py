"""What of an answer the faces in other protocols tell alike."""

from typing import Any

from domain.answer import CUT, JsonObject
from domain.events import TaskEnded, TaskErrored


def is_cut(end: TaskEnded | TaskErrored | None) -> bool:
    return isinstance(end, TaskEnded) and end.finish_reason.lower() in CUT


_CITATIONS = {
    "file_citation": {"file_id": str, "filename": str, "index": int},
    "container_file_citation": {
        "container_id": str,
        "file_id": str,
        "filename": str,
        "start_index": int,
        "end_index": int,
    },
    "file_path": {"file_id": str, "index": int},
}
"""The other kinds of citations of responses, with the fields that clients want."""


def citation(told: JsonObject) -> JsonObject | None:
    """Return a citation in the form of responses. None for what clients would refuse: the native
    face tells it as it is."""
    wanted = _CITATIONS.get(str(told.get("type")))
    if wanted is None:
        return url_citation(told)
    return told if all(type(told.get(name)) is kind for name, kind in wanted.items()) else None


def url_citation(told: JsonObject) -> dict[str, Any] | None:
    """Return a citation of chat completions in the form of responses. None for any other kind:
    clients refuse what they do not know. The native face tells those as they are."""
    inner = told.get("url_citation")
    given = inner if isinstance(inner, dict) else told
    if told.get("type") != "url_citation" or not isinstance(given.get("url"), str):
        return None
    begin, end = given.get("start_index"), given.get("end_index")
    title = given.get("title")
    return {
        "type": "url_citation",
        "url": given["url"],
        "title": title if isinstance(title, str) else "",
        "start_index": begin if type(begin) is int else 0,
        "end_index": end if type(end) is int else 0,
    }
