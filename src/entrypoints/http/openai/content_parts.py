"""The parts of a content: in the form of the Responses API, and in that of chat completions.

What neither form knows stays in a part as it is: it is a vendor's own.
"""

from collections.abc import Sequence
from typing import Any

from domain.messages import objects_in
from entrypoints.http.fields import Fields

Part = dict[str, Any]

DETAILS = ("auto", "low", "high", "original")
"""Of an image."""
_TEXTS = ("input_text", "output_text")
_ASKED = ("input_text", "input_image", "input_file", "input_audio")
_ANSWERED = ("output_text", "refusal")


def chat_content(holder: Fields, name: str, *, answered: bool = False) -> str | list[Part]:
    """Return a content for chat completions. `answered`: whether the model has written it."""
    if (content := holder.value(name)) is None:
        holder.refuse(name, "is required")
        return ""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        holder.refuse(name, "must be a string or an array")
        return ""
    parts = [_chat_part(each, answered) for each in holder.objects(name)]
    # Many servers take nothing but a string where a string can say it.
    text = parts[0].get("text", "") if len(parts) == 1 else ""
    plain = isinstance(text, str) and text.strip() and parts[0].keys() == {"type", "text"}
    return text if plain else parts


def _chat_part(part: Fields, answered: bool) -> Part:
    kind = part.value("type")
    match kind:
        case "input_text" | "output_text":
            part.ignore("annotations", "logprobs")
            return {"type": "text", "text": part.required_text("text"), **part.unread()}
        case "refusal" if answered:
            return {"type": "refusal", "refusal": part.required_text("refusal"), **part.unread()}
        case "input_image" if not answered:
            return _chat_image(part)
        case "input_file" if not answered:
            return _chat_file(part)
        case "input_audio" if not answered:
            return _chat_audio(part)
    choices = _ANSWERED if answered else _ASKED
    message = "must be one of " + ", ".join(f'"{each}"' for each in choices)
    part.refuse("type", "is required" if kind is None else message)
    return {}


def _chat_image(part: Fields) -> Part:
    if part.value("file_id") is not None:
        part.refuse("file_id", "is not accepted: send the image in image_url")
        part.ignore("image_url")
        return {}
    image = {"url": part.required_text("image_url")}
    if (detail := part.text("detail")) is not None:
        image["detail"] = detail
    return {"type": "image_url", "image_url": image, **part.unread()}


def _chat_file(part: Fields) -> Part:
    if part.value("file_url") is not None:
        part.refuse("file_url", "is not accepted: send the file in file_data")
        part.ignore("file_data")
        return {}
    if part.value("detail") not in (None, "auto"):
        part.refuse("detail", 'must be "auto": chat completions have no detail of a file')
    given = {name: part.text(name) for name in ("file_id", "filename", "file_data")}
    if part.value("file_id") is None and part.value("file_data") is None:
        part.refuse("file_data", "is required")
    file = {name: value for name, value in given.items() if value is not None}
    return {"type": "file", "file": file, **part.unread()}


def _chat_audio(part: Fields) -> Part:
    if part.value("input_audio") is None:
        part.refuse("input_audio", "is required")
    if (audio := part.inner("input_audio")) is None:
        return {}
    known = {name: audio.required_text(name) for name in ("data", "format")}
    return {"type": "input_audio", "input_audio": {**known, **audio.unread()}, **part.unread()}


def input_content(content: object) -> list[Part]:
    """Return the content of a message of chat completions as what a user, a developer or the
    system says in the Responses API."""
    return [_input_part(each) for each in _parts(content)]


def output_content(content: object) -> list[Part]:
    """Return the content of a message of chat completions as what a model says."""
    return [_output_part(each) for each in _parts(content)]


def tool_output(content: object) -> str | list[Part]:
    return input_content(content) if isinstance(content, list) else str(content or "")


def refusal_part(refusal: str) -> Part:
    return {"type": "refusal", "refusal": refusal}


def _parts(content: object) -> Sequence[Part]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    return objects_in(content)


def _output_part(part: Part) -> Part:
    if part.get("type") == "text":
        return {**part, "type": "output_text", "annotations": [], "logprobs": []}
    return dict(part)


def _input_part(part: Part) -> Part:
    kind, inner = part.get("type"), part.get(str(part.get("type")))
    rest = {name: value for name, value in part.items() if name not in ("type", kind)}
    match kind:
        case "text":
            return {**part, "type": "input_text"}
        case "image_url":
            image = inner if isinstance(inner, dict) else {"url": inner}
            detail = image.get("detail")
            known = detail if detail in DETAILS else "auto"
            return {**rest, "type": "input_image", "image_url": image.get("url"), "detail": known}
        case "file" if isinstance(inner, dict):
            texts = {name: value for name, value in inner.items() if isinstance(value, str)}
            return {**rest, **texts, "type": "input_file"}
        case "refusal":
            return {"type": "input_text", "text": inner}
    return dict(part)
