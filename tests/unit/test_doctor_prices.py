"""What the doctor says of prices."""

import asyncio
import json
from typing import Any

import pytest

from entrypoints.doctor.prices import check_prices
from tests.running import settings_for

PRICE = {"input": 1, "output": 2}
UPSTREAMS = [
    {"name": "a", "models": ["gpt-*"], "apiKey": "k"},
    {"name": "b", "models": ["llama", "fast"], "names": {"fast": "mini"}, "baseUrl": "http://x/v1"},
    {"name": "demo", "models": ["demo"], "demo": True},
]


@pytest.mark.parametrize(
    ("priced", "level", "told"),
    [
        ([], None, ""),
        (["gpt-*", "fast"], "warn", "LONGTASK_PRICES has no price for llama, mini"),
        (["llama*", "mini"], "ok", "LONGTASK_PRICES has a price for llama, mini"),
    ],
)
def test_models_that_the_map_names_and_no_price_has_are_told(
    priced: list[str], level: str | None, told: str
) -> None:
    assert _found(priced, models=json.dumps({"upstreams": UPSTREAMS}), default_model="demo") == (
        [] if level is None else [(level, told)]
    )


def test_so_is_the_model_of_the_only_server() -> None:
    only = {"openai_api_key": "k", "default_model": "gpt-x"}
    assert _found(["gpt-4"], **only) == [("warn", "LONGTASK_PRICES has no price for gpt-x")]
    assert _found(["*"]) == []


def _found(priced: list[str], **given: Any) -> list[tuple[str, str]]:
    settings = settings_for(prices=json.dumps(dict.fromkeys(priced, PRICE)), **given)

    async def examine() -> list[tuple[str, str]]:
        return [(each.level, each.what) async for each in check_prices(settings)]

    return asyncio.run(examine())
