"""docs/local-qstash.md names every endpoint of Upstash's description of its API, and the public
constants as they are."""

import re
from pathlib import Path

import yaml  # type: ignore[import-untyped]

from adapters.qstash import DEVELOPMENT_USERS

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/local-qstash.md").read_text()
DESCRIPTION = ROOT / "tests/official/qstash/qstash-openapi.yaml"


def _unnamed(path: str) -> str:
    return re.sub(r"\{\w+\}", "{}", path)


def test_every_endpoint_is_named() -> None:
    paths = yaml.safe_load(DESCRIPTION.read_text())["paths"]
    endpoints = {f"{way.upper()} {path}" for path, ways in paths.items() for way in ways}
    assert len(endpoints) >= 40
    named = {_unnamed(each) for each in re.findall(r"`([A-Z]+ /v2/[^`]*)`", TEXT)}
    assert {each for each in endpoints if _unnamed(each) not in named} == set()


def test_the_users_are_named() -> None:
    for name, user in DEVELOPMENT_USERS.items():
        row = f"| `{name}` | `{user.token}` | `{user.current_key}` `{user.next_key}` |"
        assert row in TEXT
