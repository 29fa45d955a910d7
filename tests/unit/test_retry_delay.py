"""QStash's retry-delay expression: what it evaluates to, and what it must not do."""

import math
import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.qstash.retry_delay import MAX_DELAY, MalformedRetryDelay, RetryDelay


@pytest.mark.parametrize(
    ("expression", "retried", "seconds"),
    [
        ("1000", 0, 1.0),
        ("1000 * (1 + retried)", 2, 3.0),
        ("pow(2, retried) * 1000", 3, 8.0),
        ("max(1000, pow(2, retried) * 100)", 1, 1.0),
        ("min(60000, exp(2.5 * retried))", 1, math.exp(2.5) / 1000),
        ("floor(sqrt(abs(-2500000)))", 0, 1.581),
        ("ceil(0.2) + round(1.6)", 0, 0.003),
        ("-5", 0, 0.0),
        ("pow(10, retried)", 300, MAX_DELAY),
        ("exp(retried)", 1000, MAX_DELAY),
    ],
)
def test_retry_delay_expressions(expression: str, retried: int, seconds: float) -> None:
    assert RetryDelay.parse(expression).seconds(retried) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "expression",
    [
        *("", "x", "1 +", "open('/')", "retried.__class__", "'a' * 9", "[1]", "1" * 257),
        # Texts of a gigabyte.
        *("'%999999999d' % 1", "f'{1:999999999}'"),
    ],
)
def test_bad_expressions(expression: str) -> None:
    with pytest.raises(MalformedRetryDelay):
        RetryDelay.parse(expression)


@pytest.mark.parametrize(
    "expression", ["*".join(["9**3999999"] * 20), "((9**999999)**9) % 7", "(9**99) * (9**99) ** 9"]
)
def test_no_numbers_of_millions_of_digits(expression: str) -> None:
    began = time.process_time()
    assert RetryDelay.parse(expression).seconds(0) == MAX_DELAY
    assert time.process_time() - began < 0.1


@given(st.text(max_size=30))
def test_no_expression_breaks_it(expression: str) -> None:
    with suppress(MalformedRetryDelay):
        assert 0 <= RetryDelay.parse(expression).seconds(1) <= MAX_DELAY
