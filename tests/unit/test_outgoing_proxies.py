"""Proxies of the environment are for the outside."""

import os

import httpx
import pytest

from entrypoints.outgoing_proxies import bypass_proxies

VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        for each in (name, name.lower()):
            monkeypatch.setenv(each, "")  # so that it is put back
            monkeypatch.delenv(each)


def _goes_direct(url: str) -> bool:
    client = httpx.Client()
    return client._transport_for_url(httpx.URL(url)) is client._transport


@pytest.mark.parametrize("proxy", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("listed", ["", "NO_PROXY", "no_proxy"])
def test_loopback_is_not_called_through_a_proxy(
    monkeypatch: pytest.MonkeyPatch, proxy: str, listed: str
) -> None:
    monkeypatch.setenv(proxy, "http://proxy.example:3128")
    if listed:
        monkeypatch.setenv(listed, "intern.example, 192.0.2.1")
    bypass_proxies("192.0.2.7")
    bypass_proxies()
    for host in ("localhost", "127.0.0.1", "[::1]", "192.0.2.7"):
        assert _goes_direct(f"http://{host}:8000/healthz"), host
    assert not _goes_direct("http://qstash.upstash.io")
    assert _goes_direct("http://a.intern.example") is bool(listed)
    assert os.environ["NO_PROXY"].count("127.0.0.1") == 1


def test_without_a_proxy_nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    bypass_proxies()
    assert "NO_PROXY" not in os.environ
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", "*")
    bypass_proxies()
    assert os.environ["NO_PROXY"] == "*"
