"""`longtask doctor` at an address that leads elsewhere, with no queue but that of the service."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from entrypoints.api_keys import new_key
from entrypoints.http.paths import WEBHOOK_PATH
from tests.commands import invoke
from tests.doubles.upstream import Script, Upstream
from tests.running import running_service, settings_for
from tests.waiting import eventually

ENTRY = new_key("alice")[1]
COUNTER = 'longtask_deliveries_total{status="401"}'
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


def test_a_service_that_is_not_ready_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    with running_service(settings_for(data=str(folder))) as service:
        settings = {"LONGTASK_DATA": str(folder), "LONGTASK_PORT": service.url.split(":")[2]}
        well = invoke(tmp_path, "doctor", **settings)
        assert (well.exit_code, "not ready" in well.stdout) == (0, False)
        folder.rename(tmp_path / "moved")
        eventually(lambda: service.client.http.get("/readyz").status_code == 503)
        ill = invoke(tmp_path, "doctor", **settings)
        assert ill.exit_code == 1
        assert f"fail address: {service.url} is not ready (store: the data file " in ill.stdout


def test_its_calls_are_not_taken_for_forged_deliveries(tmp_path: Path) -> None:
    with running_service(settings_for()) as service:
        metrics = service.client.http.get("/metrics")
        before = _refused(metrics.text)
        with capture_logs() as logged:
            assert _address(tmp_path, service.url).startswith("ok   address:")
            assert _refused(service.client.http.get("/metrics").text) == before
            assert not [each for each in logged if each["event"] == "delivery refused"]
            forged = {"Upstash-Message-Id": "longtask-doctor", "Upstash-Signature": "forged"}
            service.client.http.post(WEBHOOK_PATH, content=b"{}", headers=forged)
            assert [each for each in logged if each["event"] == "delivery refused"]
        assert _refused(service.client.http.get("/metrics").text) == before + 1


def _refused(metrics: str) -> float:
    lines = [each for each in metrics.splitlines() if each.startswith(COUNTER)]
    return float(lines[0].split()[-1]) if lines else 0.0


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
