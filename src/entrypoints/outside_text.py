"""URLs and keys as they come from outside, checked: in settings, and for the commands of a client,
which do not wait for the import of all settings."""

import re
from urllib.parse import urlsplit


def header_word(text: str) -> str:
    """Return a key or token without the white space around it, such as the line's end of the file
    that it was read from. Raises ValueError, without repeating the text."""
    word = text.strip()
    if not (word.isascii() and word.isprintable()):
        raise ValueError(
            "must be ASCII without line breaks and control characters, so that a header can hold it"
        )
    return word


def without_password(text: str) -> str:
    """Return a URL as it may be shown: `***` in the place of its user and password."""
    return re.sub(r"(?<=://)[^/]*@", "***@", text)


def is_http_url(text: str) -> bool:
    # An empty query is one too, and `urlsplit` passes over control characters.
    if not text.isprintable() or set(text) & set(" ?#"):
        return False
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)
