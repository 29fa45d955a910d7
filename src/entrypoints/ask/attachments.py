"""Images and files of a command line as parts of a message, in the form of chat completions."""

import base64
import mimetypes
from html import escape
from pathlib import Path
from typing import Any

import click

Part = dict[str, Any]

_URLS = ("https://", "http://", "data:")
_AUDIO = {".wav": "wav", ".mp3": "mp3"}
_PDF = b"%PDF-"
_BYTES_PER_MIB = 1024 * 1024


def text_part(text: str) -> Part:
    return {"type": "text", "text": text}


def image_part(where: str, limit: int) -> Part:
    """Return the image at a path as a `data:` URL, or a URL as it is. Raises `click.BadParameter`
    where there is no image, or one of more than `limit` bytes."""
    if where.lower().startswith(_URLS):
        return _image(where)
    content = _content(where, limit, "--image")
    guessed = mimetypes.guess_type(where)[0] or ""
    media_type = _image_type(content) or (guessed if guessed.startswith("image/") else None)
    if media_type is None:
        message = f"{where} is no image, such as PNG, JPEG, GIF or WebP"
        raise click.BadParameter(message, param_hint="--image")
    return _image(_data_url(media_type, content))


def file_part(where: str, limit: int) -> Part:
    """Return a file as the part that models take: UTF-8 text as text under its name, an image as an
    image, WAV and MP3 as audio, and anything else, such as a PDF, as a file. Raises
    `click.BadParameter` where it cannot be read or has more than `limit` bytes."""
    content = _content(where, limit, "--file")
    path = Path(where)
    if media_type := _image_type(content):
        return _image(_data_url(media_type, content))
    if audio := _AUDIO.get(path.suffix.lower()):
        encoded = base64.b64encode(content).decode()
        return {"type": "input_audio", "input_audio": {"data": encoded, "format": audio}}
    if not content.startswith(_PDF) and (text := _text(content)) is not None:
        return text_part(f'<file name="{escape(path.name)}">\n{text}\n</file>')
    pdf = "application/pdf" if content.startswith(_PDF) else None
    media_type = pdf or mimetypes.guess_type(where)[0] or "application/octet-stream"
    file = {"filename": path.name, "file_data": _data_url(media_type, content)}
    return {"type": "file", "file": file}


def mebibytes(size: int) -> str:
    return f"{size / _BYTES_PER_MIB:.3g} MiB"


def _content(where: str, limit: int, option: str) -> bytes:
    try:
        with Path(where).open("rb") as file:
            content = file.read(limit + 1)  # no more of a pipe or a device
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or error
        raise click.BadParameter(f"{where}: {reason}", param_hint=option) from error
    if len(content) > limit:
        message = f"{where} is larger than a whole request may be ({mebibytes(limit)})"
        raise click.BadParameter(message, param_hint=option)
    if not content:
        raise click.BadParameter(f"{where} is empty", param_hint=option)
    return content


def _image_type(content: bytes) -> str | None:
    """Return the media type of the formats that models take, told by their first bytes."""
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if content.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if content.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if content.startswith(b"RIFF") and content[8:12] == b"WEBP":
        return "image/webp"
    return None


def _text(content: bytes) -> str | None:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text


def _image(url: str) -> Part:
    return {"type": "image_url", "image_url": {"url": url}}


def _data_url(media_type: str, content: bytes) -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"
