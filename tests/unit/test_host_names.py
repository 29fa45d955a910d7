"""Which Host headers a server answers: any address, localhost, and the names that it was given."""

import pytest

from entrypoints.host_names import accepts_host, host_of, is_ip_or_localhost


@pytest.mark.parametrize(
    ("header", "host"),
    [
        ("example.org", "example.org"),
        ("Example.ORG:8000", "example.org"),
        ("example.org.", "example.org"),
        ("example.org.:443", "example.org"),
        ("example.org:", "example.org"),
        ("under_score", "under_score"),
        ("127.0.0.1:8000", "127.0.0.1"),
        ("[::1]", "::1"),
        ("[2001:DB8::1]:65535", "2001:db8::1"),
        ("[::ffff:192.0.2.1]:80", "::ffff:192.0.2.1"),
    ],
)
def test_the_host_is_read_without_port_brackets_and_capitals(header: str, host: str) -> None:
    assert host_of(header) == host


@pytest.mark.parametrize(
    "header",
    [
        "",
        ".",
        ":8000",
        "::1",
        "[::1",
        "[]",
        "[localhost]",
        "[127.0.0.1]",
        "[::1]x",
        "[fe80::1%25eth0]",
        "example.org:x",
        "example.org:65536",
        "example.org:123456",
        "evil.example@127.0.0.1",
        "127.0.0.1/evil.example",
        "127.0.0.1,evil.example",
        "127.0.0.1 evil.example",
        " 127.0.0.1",
        "127.0.0.1\n",
        "\N{FULLWIDTH DIGIT ONE}27.0.0.1",
        "exämple.org",
    ],
)
def test_what_is_no_host_is_none(header: str) -> None:
    assert host_of(header) is None
    assert not accepts_host(header, {header})


@pytest.mark.parametrize("host", ["127.0.0.1", "192.0.2.7", "::1", "2001:db8::1", "localhost"])
def test_no_dns_server_redirects_an_address_or_localhost(host: str) -> None:
    assert is_ip_or_localhost(host)


@pytest.mark.parametrize(
    "host",
    ["example.org", "127.1", "2130706433", "127.0.0.1.example.org", "localhost.evil.example", ""],
)
def test_any_other_name_could_be_redirected(host: str) -> None:
    assert not is_ip_or_localhost(host)


def test_a_server_answers_addresses_localhost_and_its_own_names() -> None:
    names = {"qstash", "longtask.example.org"}
    for header in (
        "10.0.0.1:8080",
        "[::1]:8080",
        "LOCALHOST:1",
        "qstash:8080",
        "Longtask.Example.org",
    ):
        assert accepts_host(header, names)
    for header in ("evil.example", "qstash.evil.example:8080", "evil.example:qstash"):
        assert not accepts_host(header, names)
    assert not accepts_host(None, names)
