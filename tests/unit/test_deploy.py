"""The files in deploy/: they name figures that the service has, and nothing else."""

import json
import re
from pathlib import Path

import pytest

from adapters.prometheus import Metrics

DEPLOY = Path(__file__).parents[2] / "deploy"


def names() -> set[str]:
    """Every figure as Prometheus stores it."""
    found = set()
    for kind, line in re.findall(
        r"^# TYPE (\S+) (\w+)$", Metrics().exposition().decode(), re.MULTILINE
    ):
        suffixes = ("_bucket", "_sum", "_count") if line == "histogram" else ("",)
        found |= {kind + suffix for suffix in suffixes}
    return found


@pytest.mark.parametrize("file", ["grafana-dashboard.json", "alerts.yml"])
def test_only_figures_that_exist_are_named(file: str) -> None:
    named = set(re.findall(r"\blongtask_\w+", (DEPLOY / file).read_text()))
    assert named
    assert named <= names()


def test_the_dashboard_shows_every_figure() -> None:
    dashboard = json.loads((DEPLOY / "grafana-dashboard.json").read_text())
    shown = " ".join(target["expr"] for panel in dashboard["panels"] for target in panel["targets"])
    kinds = {re.sub(r"_(bucket|sum|count)$", "", name) for name in names()}
    assert {each for each in kinds if each not in shown} <= {"longtask_cancels_total"}
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
