"""A service for all tests of a module."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest

from tests.doubles.upstream import Upstream
from tests.official.node.clients import Node, laid_out, packages
from tests.running import Running, running_service, settings_for


@pytest.fixture(scope="module")
def service(shared_upstream: Upstream) -> Iterator[Running]:
    settings = settings_for(
        openai_api_key="sk-planted-secret",
        openai_base_url=shared_upstream.url,
        qstash_retry_delay="50",
    )
    with running_service(settings) as running:
        yield running


@pytest.fixture
def upstream(scripted: Upstream) -> Upstream:
    return scripted


PAGES: Mapping[int, Mapping[str, str]] = {
    5: {"ai": "5.0.277", "@workflow/ai": "5.0.0"},
    6: {"ai": "6.0.326", "@workflow/ai": "5.0.0"},
    7: {"ai": "7.0.173", "@ai-sdk/workflow": "2.0.43"},
}
"""What a page of the AI SDK is made of, by the version of `ai`. `@workflow/ai` takes the `ai` that
it finds beside it, so each version has a folder of its own."""


@dataclass(frozen=True)
class Page(Node):
    sdk: int


@pytest.fixture(scope="session", params=PAGES)
def page(
    request: pytest.FixtureRequest, node: Node, tmp_path_factory: pytest.TempPathFactory
) -> Page:
    """The AI SDK's transports and its chat, in each version."""
    assert request.config.cache is not None
    wanted = {"type": "module", "dependencies": {**PAGES[request.param], "zod": "4.6.7"}}
    cache = request.config.cache.mkdir(f"node-ai-{request.param}")
    found = packages(cache, json.dumps(wanted).encode())
    folder = laid_out(tmp_path_factory.mktemp("pages"), found)
    return Page(node.program, folder, request.param)
