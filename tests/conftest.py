"""Fixtures that more than one kind of test uses. No test sees the machine's own settings."""

from collections.abc import Iterator

import pytest

from entrypoints.settings import Settings
from tests.running import Running, running_service, settings_for
from tests.upstream import Upstream


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for field in Settings.model_fields.values():
        monkeypatch.delenv(str(field.alias), raising=False)


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream().running() as server:
        yield server


@pytest.fixture
def service(upstream: Upstream) -> Iterator[Running]:
    """The whole service on the embedded default, its model the scripted upstream."""
    settings = settings_for(
        openai_api_key="sk-planted-secret",
        openai_base_url=upstream.url,
        qstash_retry_delay="50",
    )
    with running_service(settings) as running:
        yield running
