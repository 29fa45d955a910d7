"""What the doctor says of the settings of webhooks."""

import pytest

from adapters.webhooks import new_secret
from entrypoints.doctor.webhooks import check_webhooks
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
