"""What the URL of a webhook may look like.

This is about its form. Which addresses may be called is decided when a connection is made.
"""

from urllib.parse import urlsplit

MAX_URL_LENGTH = 2000
_NOT_IN_URLS = set(' "<>\\^`{|}')
"""Visible ASCII characters that no URL holds. Programs differ in what they make of them."""


def url_fault(url: str, *, http_allowed: bool) -> str | None:
    """Return what is wrong with this URL as the target of a webhook, in words that follow its name,
    or None. The URL itself is not repeated. `http_allowed`: whether it may be one of http."""
    schemes = ("https", "http") if http_allowed else ("https",)
    if len(url) > MAX_URL_LENGTH:
        return f"must be no longer than {MAX_URL_LENGTH} characters"
    if not (url.isascii() and url.isprintable()) or set(url) & _NOT_IN_URLS:
        return "must be a URL: visible ASCII characters, and others percent-encoded"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "must be a URL with a valid host and port"
    if parts.scheme not in schemes or not url.lower().startswith(f"{parts.scheme}://"):
        return f"must begin with {' or '.join(f'{scheme}://' for scheme in schemes)}"
    if "@" in parts.netloc:
        return "must hold no user name and no password"
    if not host or port == 0:
        return "must name a host, and no port 0"
    if "#" in url:
        return "must hold no fragment (#)"
    return None
