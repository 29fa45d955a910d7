"""`longtask doctor` at an address that leads elsewhere, with no queue but that of the service."""

from pathlib import Path

import pytest

from entrypoints.api_keys import new_key
from tests.commands import invoke
from tests.doubles.upstream import Script, Upstream
from tests.running import running_service, settings_for

ENTRY = new_key("alice")[1]
SECRET = "a secret of forty characters, or even more"
KEYS = {"LONGTASK_API_KEYS": ENTRY, "LONGTASK_STREAM_SECRET": SECRET}


def _address(folder: Path, url: str, **settings: str) -> str:
    """What is said of the service that listens where these settings say."""
    port = url.split(":")[2].partition("/")[0]
    lines = invoke(folder, "doctor", LONGTASK_PORT=port, **settings).stdout.splitlines()
    at = next(n for n, line in enumerate(lines) if " address: " in line)
    return " ".join(lines[at : at + 2])


def test_another_instance_is_told_by_its_keys(tmp_path: Path) -> None:
    """Only its own service knows the signing keys of a local QStash."""
    with running_service(settings_for(api_keys=ENTRY, stream_secret=SECRET)) as service:
        for settings, level in (
            (KEYS, "ok"),
            ({**KEYS, "LONGTASK_API_KEYS": new_key("bob")[1]}, "fail"),
            ({**KEYS, "LONGTASK_STREAM_SECRET": "x" * 40}, "fail"),
            ({}, "fail"),
        ):
            said = _address(tmp_path, service.url, **settings)
            assert said.startswith(f"{level:5}address:"), said
            assert ("another Longtask" in said) is (level == "fail")
            assert ("has these API keys" in said) is (level == "ok")


def test_a_service_that_does_not_have_the_keys_yet_is_not_called_well(tmp_path: Path) -> None:
    """It runs since before the keys were made, and admits everyone."""
    with running_service(settings_for()) as service:
        said = _address(tmp_path, service.url, **KEYS)
        assert said.startswith("fail address:")
        assert "it requires no API key" in said
        assert "restart it" in said
        said = _address(tmp_path, service.url)
        assert said.startswith("ok   address:")
        assert "requires no API key" in said


@pytest.mark.parametrize("with_base_url", [False, True])
def test_another_program_on_the_port(
    tmp_path: Path, upstream: Upstream, with_base_url: bool
) -> None:
    upstream.then(*[Script([b"404 page not found"], 404)] * 4)
    settings = {"BASE_URL": upstream.url.removesuffix("/v1")} if with_base_url else {}
    said = _address(tmp_path, upstream.url, **settings)
    assert said.startswith("fail address:")
    assert ("is BASE_URL right?" in said) is with_base_url
    assert ("set LONGTASK_PORT to another port" in said) is not with_base_url
