"""A response is counted by the mark of its route and its status, once, when it begins."""

from typing import Any

import pytest

from adapters.prometheus import Metrics
from entrypoints.http.request_counts import COUNTED_AS, Counted, RequestCounts


class Route:
    def __init__(self, counted: Counted | None) -> None:
        self.opt = {} if counted is None else {COUNTED_AS: counted}


def _counts(counted: Counted | None, status: int) -> set[str]:
    metrics = Metrics()
    scope: Any = {"route_handler": Route(counted), "headers": []}
    RequestCounts(metrics).responded(scope, status)
    lines = metrics.exposition().decode().splitlines()
    return {line for line in lines if "_total" in line and line.endswith(" 1.0")}


@pytest.mark.parametrize(
    ("counted", "status", "line"),
    [
        (Counted.START, 202, "longtask_starts_total 1.0"),
        (Counted.CANCEL, 202, "longtask_cancels_total 1.0"),
        (Counted.CANCEL, 200, "longtask_cancels_total 1.0"),
        (Counted.DELIVERY, 200, 'longtask_deliveries_total{status="200"} 1.0'),
        (Counted.DELIVERY, 503, 'longtask_deliveries_total{status="503"} 1.0'),
        (Counted.DELIVERY, 401, 'longtask_deliveries_total{status="401"} 1.0'),
    ],
)
def test_a_marked_route_is_counted(counted: Counted, status: int, line: str) -> None:
    assert _counts(counted, status) == {line}


@pytest.mark.parametrize(
    ("counted", "status"),
    [(Counted.START, 429), (Counted.CANCEL, 409), (None, 202)],
)
def test_nothing_else_is_counted(counted: Counted | None, status: int) -> None:
    assert _counts(counted, status) == set()


def test_a_request_that_matches_no_route_is_not_counted() -> None:
    RequestCounts(Metrics()).responded({}, 404)  # type: ignore[typeddict-item]
