"""Read what a server reports of an error, whatever the shape of its body. No I/O.

OpenAI sends `{"error": {...}}`. Others send a list around it (Gemini), `{"detail": ...}` (FastAPI,
Mistral), a text (LiteLLM, vLLM), or the body of another server inside theirs (OpenRouter, in
`metadata.raw`).
"""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

DEPTH_LIMIT = 8
"""How deep a report may lie in a body. What is deeper is not read."""
OBJECT_LIMIT = 50
"""Objects of a body that are read."""
LIST_LIMIT = 1_000
"""Lists of a body that are read."""

_INSIDE = ("error", "detail", "message", "metadata", "raw", "errors")
_REFUSED = (
    r"(?:un(?:supported|known|recogni[sz]ed|expected)|extra|not (?:supported|permitted|allowed|"
    r"recogni[sz]ed|accepted)|not support|deprecated|no longer)"
)
_NEAR = 120  # characters between the name of a parameter and the word that refuses it
_REFUSING_CODE = re.compile("unsupported|unknown_param|extra_forbidden|unrecognized", re.I)
_NO_SUCH_PAGE = re.compile(
    r"\W*(404)?\W*((page|file|resource|path|route|url)\W+)?not\W?found\W*|method not allowed\W*|"
    r".*(invalid url|unexpected endpoint|no route|cannot post|nosuchroute|/(chat/"
    r"completions|responses)\b.*not found).*",
    re.I | re.S,
)


@dataclass(frozen=True, slots=True)
class Report:
    """What a body says of an error."""

    words: str
    """For people. Empty if it says nothing."""
    status: int | None
    """An HTTP status that it names."""
    names: tuple[str, ...]
    """Every `code` and `type`, the outermost first."""
    objects: tuple[Mapping[str, Any], ...]

    def refused(self, ours: Collection[str]) -> set[str]:
        """Return which of these parameters the server does not take at all. A value that is only
        too large or too small refuses no parameter."""
        found: set[str] = set()
        for each in self.objects:
            words = (each.get("code"), each.get("type"))
            if any(isinstance(word, str) and _REFUSING_CODE.search(word) for word in words):
                found |= _named_by(each, ours)
        for name in ours:
            near = rf"\b{name}\b.{{0,{_NEAR}}}?\b{_REFUSED}|\b{_REFUSED}.{{0,{_NEAR}}}?\b{name}\b"
            if re.search(near, self.words[:2_000], re.I | re.S):
                found.add(name)
        return found

    @property
    def no_such_page(self) -> bool:
        """Whether the server has nothing at this address, rather than no such model."""
        if not self.words:
            return not self.names
        return _NO_SUCH_PAGE.fullmatch(self.words[:500].strip()) is not None


def read_report(body: object) -> Report:
    """Read a body: decoded JSON, or a text."""
    objects: list[Mapping[str, Any]] = []
    said: list[str] = []
    for each in _within(body, 0, iter(range(LIST_LIMIT))):
        if isinstance(each, str):
            said.append(each)
        else:
            objects.append(each)
        if len(objects) + len(said) >= OBJECT_LIMIT:
            break
    names = [each.get(key) for each in objects for key in ("code", "type", "status")]
    statuses = (_status(each.get(key)) for each in objects for key in ("code", "status"))
    return Report(
        # The innermost words say the most: those around them say that another server refused.
        said[-1] if said else "",
        next(filter(None, statuses), None),
        tuple(each for each in names if isinstance(each, str)),
        tuple(objects),
    )


def is_report(data: Mapping[str, Any]) -> bool:
    """Whether an object inside a stream reports an error, though it has no `error`."""
    if "error" in (data.get("object"), data.get("type")) or data.get("detail"):
        return True
    return isinstance(data.get("message"), str) and bool(data.get("code") or data.get("type"))


def is_page(body: object) -> bool:
    """Whether a body is a page for browsers."""
    return isinstance(body, str) and body.lstrip("\ufeff \t\r\n").startswith("<")


def _within(body: object, depth: int, lists: Iterator[int]) -> Iterator[Mapping[str, Any] | str]:
    """Yield the objects and texts of a body, the outermost first. One of `lists` is taken for each
    list that is read: lists that hold nothing but lists yield nothing, and may be millions."""
    if depth > DEPTH_LIMIT:
        return
    if isinstance(body, str):
        inner = _decoded(body)
        if inner is None:
            yield body
        else:
            yield from _within(inner, depth + 1, lists)
    elif isinstance(body, list):
        if next(lists, None) is None:
            return
        details = [each for each in body[:OBJECT_LIMIT] if _is_detail(each)]
        yield from details
        if details:
            yield "; ".join(_place(each) + each["msg"] for each in details)
        else:
            for each in body[:OBJECT_LIMIT]:
                yield from _within(each, depth + 1, lists)
    elif isinstance(body, Mapping):
        yield body
        for key in sorted(_INSIDE, key=("message", "detail").__contains__, reverse=True):
            if body.get(key):
                yield from _within(body[key], depth + 1, lists)


def _decoded(text: str) -> object:
    """Return the object or list that a text holds as JSON, else None."""
    if text.lstrip()[:1] not in ("{", "["):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _is_detail(value: object) -> bool:
    return isinstance(value, Mapping) and isinstance(value.get("msg"), str)


def _place(detail: Mapping[str, Any]) -> str:
    place = detail.get("loc")
    if not isinstance(place, list):
        return ""
    return ".".join(str(each) for each in place if isinstance(each, str | int)) + ": "


def _named_by(report: Mapping[str, Any], ours: Collection[str]) -> set[str]:
    place, name = report.get("loc"), report.get("param")
    words = [*place] if isinstance(place, list) else []
    if isinstance(name, str):
        words.append(name.partition(".")[0])
    return {each for each in words if isinstance(each, str) and each in ours}


def _status(value: object) -> int | None:
    if isinstance(value, str) and len(value) == 3 and value.isascii() and value.isdigit():
        value = int(value)
    return value if type(value) is int and 400 <= value < 600 else None
