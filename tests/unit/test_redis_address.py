"""REDIS_URL: what each form names, and what is refused before anything is connected."""

from typing import Any

import pytest

from adapters.redis_address import MalformedUrl, parse_address


@pytest.mark.parametrize(
    ("url", "kind", "hosts", "options"),
    [
        ("redis://localhost", "server", [("localhost", 6379)], {}),
        ("redis://h:1/2", "server", [("h", 1)], {"db": 2}),
        (
            "rediss://u:p%40ss@h?ssl_ca_certs=/ca.pem",
            "server",
            [("h", 6379)],
            {"username": "u", "password": "p@ss", "ssl": True, "ssl_ca_certs": "/ca.pem"},
        ),
        ("redis://[::1]:7", "server", [("::1", 7)], {}),
        ("unix:///run/redis.sock?db=3", "server", [], {"path": "/run/redis.sock", "db": 3}),
        ("redis+cluster://:p@a,b:2", "cluster", [("a", 6379), ("b", 2)], {"password": "p"}),
        ("rediss+cluster://a", "cluster", [("a", 6379)], {"ssl": True}),
        (
            "redis+sentinel://u:p@a,b:3/main/4",
            "sentinel",
            [("a", 26379), ("b", 3)],
            {"username": "u", "password": "p", "db": 4},
        ),
    ],
)
def test_what_a_url_names(
    url: str, kind: str, hosts: list[tuple[str, int]], options: dict[str, Any]
) -> None:
    address = parse_address(url)
    assert (address.kind, list(address.hosts)) == (kind, hosts)
    assert address.options == options


def test_a_sentinel_has_a_service_and_may_have_a_login_of_its_own() -> None:
    address = parse_address("redis+sentinel://:data@a/main?sentinel_password=own&socket_timeout=2")
    assert address.service == "main"
    assert address.sentinel_login == {"password": "own"}
    assert address.options == {"password": "data", "socket_timeout": 2.0}


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("localhost:6379", "must be a redis://"),
        ("http://planted@h", "must be a redis://"),
        ("redis+other://planted@h", "must be a redis://"),
        ("redis://:planted@", "names no host"),
        ("redis://:planted@h:many", "[Pp]ort"),
        ("redis://:planted@h:70000", "[Pp]ort"),
        ("redis://:planted@a,b", "several hosts need"),
        ("redis+cluster://:planted@a/1", "no numbered databases"),
        ("redis+sentinel://:planted@a", "names no service"),
        ("redis://:planted@h?socket_timeout=long", "socket_timeout"),
    ],
)
def test_what_is_refused_and_no_password_told(url: str, fault: str) -> None:
    with pytest.raises(MalformedUrl, match=fault) as refused:
        parse_address(url)
    assert "planted" not in str(refused.value)
