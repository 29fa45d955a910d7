"""docs/local-qstash.md names every endpoint of Upstash's description of its API, and the public
constants as they are. What it gives to be copied works."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
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


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


def test_the_compose_file_names_what_the_image_accepts() -> None:
    (services,) = [yaml.safe_load(each)["services"] for each in _blocks("yaml") if "app:" in each]
    assert services["app"]["environment"]["QSTASH_URL"] == "http://qstash:8080"
    assert "--allowed-host qstash " in (ROOT / "deploy/qstash").read_text()


CHECK = """
import os

from qstash import QStash


def test_the_queue_is_the_one_of_the_fixture():
    keys = QStash(os.environ["QSTASH_TOKEN"]).signing_key.get()
    assert keys.current == os.environ["QSTASH_CURRENT_SIGNING_KEY"]
    assert keys.next == os.environ["QSTASH_NEXT_SIGNING_KEY"]
"""


@pytest.mark.soak
def test_the_fixture_for_pytest_runs_a_queue(tmp_path: Path) -> None:
    (fixture,) = [each for each in _blocks("python") if "fixture" in each]
    (tmp_path / "conftest.py").write_text(fixture)
    (tmp_path / "test_queue.py").write_text(CHECK)
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    others = {name: each for name, each in os.environ.items() if not name.startswith("QSTASH_")}
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "pytest", "-p", "no:schemathesis", "--rootdir", str(tmp_path)],
        cwd=tmp_path,
        env=others | {"PATH": programs},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
