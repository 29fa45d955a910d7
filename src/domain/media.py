"""The URLs and the encoded data in the parts of a message, and what is wrong with them.

The model's server fetches these URLs, so their schemes are checked in parts of every type. Whether
there is an image behind a URL is for that server to say.
"""

import binascii
import re
from collections.abc import Iterator, Mapping
from typing import Any

from domain.errors import Fault, shown

URL_LIMIT = 16_384
"""Characters of a URL that is not a `data:` URL."""

_WEB = re.compile(
    r"(https?)://(?:[^\x00-\x20\x7f/?#@]*@)?[^\x00-\x20\x7f/?#@:][^\x00-\x20\x7f]*", re.I
)
_DATA = re.compile(r"data:[^,]*;base64,", re.I)
_DATA_HEAD_LIMIT = 1_000
"""Characters before the comma of a `data:` URL."""
_ESCAPES = {"%2B": "+", "%2b": "+", "%2F": "/", "%2f": "/", "%3D": "=", "%3d": "="}
"""What base64 has that a URL may escape."""
_MEDIA_DATA = frozenset({("input_audio", "data"), ("file", "file_data")})
"""Fields of known parts that hold plain base64, and at some servers a URL."""


def media_faults(part: Mapping[str, Any], field: str, *, http_media: bool) -> Iterator[Fault]:
    """Yield what is wrong with the URLs of a part: the texts in it, or in the objects directly in
    it, whose names end in `url`. `http_media`: whether they may be http."""
    for name, value in part.items():
        if isinstance(value, str):
            if name.endswith("url"):
                yield from _url_faults(value, f"{field}.{shown(name)}", http_media)
        elif isinstance(value, dict):
            for key, each in value.items():
                if isinstance(each, str) and (key.endswith("url") or _is_url(name, key, each)):
                    inner = f"{field}.{shown(name)}.{shown(key)}"
                    yield from _url_faults(each, inner, http_media)


def base64_of(data: str) -> str:
    """Return what stands behind the comma of a `data:` URL, without escapes of base64 characters.
    Others stay: to undo any escape takes seconds for megabytes of them."""
    for escape, character in _ESCAPES.items() if "%" in data else ():
        data = data.replace(escape, character)
    return data


def _is_url(name: str, key: str, value: str) -> bool:
    """Whether a field that usually holds base64 holds a URL."""
    begin = value[:32]
    return (name, key) in _MEDIA_DATA and ("://" in begin or begin[:5].lower() == "data:")


def _url_faults(url: str, field: str, http_media: bool) -> Iterator[Fault]:
    if url[:5].lower() == "data:":
        yield from _data_url_faults(url, field)
    elif len(url) > URL_LIMIT:
        yield Fault(field, f"must be at most {URL_LIMIT} characters, or a data: URL")
    elif (found := _WEB.fullmatch(url)) is None or not (http_media or found[1].lower() == "https"):
        schemes = "https://, http://" if http_media else "https://"
        yield Fault(field, f"must be a URL that begins with {schemes} or data:")


def _data_url_faults(url: str, field: str) -> Iterator[Fault]:
    """RFC 2397, with data in base64: every server refuses other data."""
    head = _DATA.match(url[:_DATA_HEAD_LIMIT])
    if head is None:
        yield Fault(field, "must be a data: URL of the form data:<media type>;base64,<data>")
        return
    data = base64_of(url[head.end() :])
    try:
        # Strict as it is, that takes more padding than there may be.
        content = binascii.a2b_base64(data.encode("ascii"), strict_mode=True)
        valid = len(content) > 0 and len(data) % 4 == 0
    except ValueError:  # the base of both errors: of what is not ASCII, and of what is no base64
        valid = False
    if not valid:
        yield Fault(field, "must hold valid base64 after the comma")
