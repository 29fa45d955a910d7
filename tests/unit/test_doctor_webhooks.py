"""What the doctor says of the settings of webhooks."""

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from adapters.prometheus import Metrics
from adapters.webhooks import new_secret
from entrypoints.doctor.webhooks import check_receivers, check_webhooks
from tests.running import settings_for

KEY = "alice:lt_" + "a" * 20


async def found(
    *addresses: str, url: str | None = "https://hooks.example/x", private: bool = False
) -> dict[str, str]:
    """The level of each finding."""
    secrets = f"{new_secret()},alice:{new_secret()},bob:{new_secret()}"
    settings = settings_for(
        api_keys=KEY,
        stream_secret="s" * 32,
        webhook_secrets=secrets,
        webhook_url=url,
        private_webhooks=private,
    )

    def look_up(name: str) -> list[str]:
        assert name == "hooks.example"
        if not addresses:
            raise OSError
        return list(addresses)

    return {each.what: each.level async for each in check_webhooks(settings, look_up)}


def service_of(metrics: bytes) -> TestServer:
    async def respond(_: web.Request) -> web.Response:
        return web.Response(body=metrics)

    app = web.Application()
    app.router.add_get("/metrics", respond)
    return TestServer(app)


async def test_without_secrets_it_says_nothing() -> None:
    assert [each async for each in check_webhooks(settings_for())] == []


async def test_a_name_without_an_api_key() -> None:
    levels = await found("8.8.8.8")
    assert levels.pop("secrets of alice, the service") == "ok"
    assert levels.pop("hooks.example resolves, and may be called") == "ok"
    ((what, level),) = levels.items()
    assert "bob" in what
    assert level == "warn"


@pytest.mark.parametrize(
    ("addresses", "level", "words"),
    [
        ((), "fail", "does not resolve"),
        (("10.0.0.1",), "fail", "not on the internet"),
        (("8.8.8.8", "::1"), "fail", "is at ::1"),
    ],
)
async def test_a_receiver_that_cannot_be_called(
    addresses: tuple[str, ...], level: str, words: str
) -> None:
    levels = await found(*addresses)
    assert [each for what, each in levels.items() if words in what] == [level]


async def test_an_address_in_the_url_is_not_looked_up() -> None:
    levels = await found(url="https://[::ffff:10.0.0.1]/x")
    assert "fail" in levels.values()
    levels = await found(url="https://10.0.0.1/x", private=True)
    assert "fail" not in levels.values()


@pytest.mark.parametrize(
    ("outcomes", "given_up", "level", "words"),
    [
        ({}, 0, None, ""),
        ({"delivered": 3, "refused": 2}, 0, "ok", "3 delivered, 2 refused"),
        ({"not_allowed": 1}, 0, "warn", "1 not allowed"),
        ({"delivered": 3}, 1, "warn", "1 given up"),
    ],
)
async def test_what_came_of_the_calls(
    outcomes: dict[str, int], given_up: int, level: str | None, words: str
) -> None:
    metrics = Metrics()
    for outcome, count in outcomes.items():
        metrics.webhooks.labels(outcome).inc(count)
    metrics.webhooks_given_up.inc(given_up)
    settings = settings_for(webhook_secrets=new_secret())
    async with service_of(metrics.exposition()) as service:
        found = [each async for each in check_receivers(settings, str(service.make_url("")))]
    assert [each.level for each in found] == ([] if level is None else [level])
    assert all(words in each.what for each in found)


async def test_where_no_service_runs_it_says_nothing_of_calls() -> None:
    settings = settings_for(webhook_secrets=new_secret())
    async with service_of(b"<html>") as service:
        url = str(service.make_url(""))
        assert [each async for each in check_receivers(settings, url)] == []
    assert [each async for each in check_receivers(settings, url)] == []
