"""A service that is ordered to stop while nothing holds it up."""

import pytest

from entrypoints.http.protocol import uvicorn_server
from tests.running import running_local_qstash, running_service, settings_for


@pytest.fixture(autouse=True)
def _rare_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uvicorn_server, "TICK", 3_600.0)


def test_a_service_and_its_queue_stop_before_their_next_tick() -> None:
    with running_service(settings_for()) as service:
        assert service.client.http.get("/healthz").status_code == 200


def test_a_local_qstash_alone_stops_before_its_next_tick() -> None:
    with running_local_qstash():
        pass
