"""The form of the URLs of webhooks."""

import pytest

from domain.webhook_url import MAX_URL_LENGTH, url_fault

GOOD = [
    "https://example.org",
    "https://example.org:8443/hook?token=a%20b&c=@d",
    "HTTPS://EXAMPLE.ORG/",
    "https://xn--bcher-kva.example/",
    "https://[2606:4700::1]/hook",
    "https://10.0.0.1/",  # a matter of the connection, not of the form
    "https://example.org/" + "x" * (MAX_URL_LENGTH - 20),
]
BAD = {
    "": "begin with",
    "example.org/hook": "begin with",
    "//example.org/": "begin with",
    "https:/example.org/": "begin with",
    "https:example.org": "begin with",
    "ftp://example.org/": "begin with",
    "file:///etc/passwd": "begin with",
    "https://": "name a host",
    "https:///hook": "name a host",
    "https://:443/": "name a host",
    "https://example.org:0/": "no port 0",
    "https://example.org:port/": "valid host and port",
    "https://example.org:99999/": "valid host and port",
    "https://[::1/": "valid host and port",
    "https://user@example.org/": "user name",
    "https://user:password@example.org/": "user name",
    "https://@example.org/": "user name",
    "https://example.org/#part": "fragment",
    "https://example.org/#": "fragment",
    "https://example.org/a b": "visible ASCII",
    " https://example.org/": "visible ASCII",
    "https://example.org/\n": "visible ASCII",
    "https://example.org\\@evil.example/": "visible ASCII",
    "https://bücher.example/": "visible ASCII",
    "https://example.org/\x00": "visible ASCII",
    "https://example.org/" + "x" * MAX_URL_LENGTH: "no longer than 2000",
}


@pytest.mark.parametrize("url", GOOD)
def test_good(url: str) -> None:
    assert url_fault(url, http_allowed=False) is None


@pytest.mark.parametrize("url", BAD)
def test_bad(url: str) -> None:
    fault = url_fault(url, http_allowed=True)
    assert fault is not None
    assert BAD[url] in fault


def test_http_only_where_it_is_allowed() -> None:
    assert url_fault("http://localhost:3000/hook", http_allowed=True) is None
    assert url_fault("http://localhost:3000/hook", http_allowed=False) == "must begin with https://"
