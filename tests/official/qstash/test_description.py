"""The local QStash held to Upstash's own description by schemathesis: generated requests, valid and
not; every answer checked for status, shape and media type. Nothing may be a 500, and nothing may be
answered without the token."""

import json
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from adapters.qstash import DEVELOPMENT
from tests.official.qstash.description import DESTINATION, patched
from tests.processes import found_in, process_of
from tests.waiting import within

CONFIG = """
[generation]
allow-extra-parameters = false  # any request may have further headers

[checks.positive_data_acceptance]
# 404: the names are made up. 412, 429: a bound.
expected-statuses = ["2xx", "404", "412", "429"]
"""
SEED = "7"


@pytest.mark.soak
def test_generated_requests_are_answered_as_described(tmp_path: Path) -> None:
    (tmp_path / "schemathesis.toml").write_text(CONFIG)
    (tmp_path / "openapi.json").write_text(json.dumps(patched()))
    with process_of(tmp_path, "local-qstash", "--port", "0", "--json-logs") as (_, log):
        url, key = found_in(log), f"Bearer {DEVELOPMENT.token}"
        _make_a_group(url, key)
        ran = subprocess.run(  # noqa: S603
            [
                str(Path(sys.executable).with_name("schemathesis")),
                *("--config-file", "schemathesis.toml", "run", "openapi.json", "--url", url),
                *("--header", f"Authorization: {key}", "--checks", "all"),
                # Which methods a path has besides those described is not told.
                *("--exclude-checks", "unsupported_method,allow_header_conformance"),
                *("--phases", "examples,coverage,fuzzing", "--max-examples", "15"),
                *("--seed", SEED, "--generation-deterministic", "--no-color"),
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=within(540),
            check=False,
        )
        assert "Traceback" not in log.read_text()
    assert ran.returncode == 0, ran.stdout[-6_000:] + ran.stderr[-1_000:]
    cases = re.search(r"(\d+) generated", ran.stdout)
    assert cases is not None
    assert int(cases[1]) >= 2_000, ran.stdout[-1_000:]


def _make_a_group(url: str, key: str) -> None:
    endpoints = {"endpoints": [{"url": DESTINATION}]}
    made = httpx.post(
        f"{url}/v2/topics/a-group/endpoints", json=endpoints, headers={"Authorization": key}
    )
    assert made.is_success
