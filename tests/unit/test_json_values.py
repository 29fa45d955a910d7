"""The bound on the values of JSON, which is checked before it is decoded."""

import json
import time
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.json_values import VALUES_LIMIT, has_few_values
from tests.waiting import within

MARKS = st.text(st.sampled_from('a",[]{}:\\ é'), max_size=8)
JSON = st.recursive(
    st.none() | st.integers(-9, 9) | MARKS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(MARKS, inner, max_size=4),
    max_leaves=30,
)


def _marks(value: Any) -> int:
    """One for each value but the first, and one more for each empty array or object."""
    if not isinstance(value, list | dict):
        return 0
    children = value.values() if isinstance(value, dict) else value
    return max(1, len(value)) + sum(map(_marks, children))


@given(JSON, st.booleans())
def test_values_are_counted_without_what_strings_hold(value: Any, ascii_only: bool) -> None:
    content = bytearray(json.dumps(value, ensure_ascii=ascii_only).encode())
    # The first look, at the length of short JSON, is passed over.
    padded = content + b" " * 1_000
    limit = _marks(value) + 1
    assert has_few_values(padded, limit)
    assert limit < 3 or not has_few_values(padded, limit - 1)


MEGABYTES = 8 * 1024 * 1024


@pytest.mark.parametrize(
    ("unit", "few"),
    [
        (b"{},", False),
        (b"[[],", False),
        (b'"",', False),
        (b'{"role":"user","content":"x"},', False),
        (b'"' + b"x," * 500_000 + b'",', True),
        (b'"' + rb"\"," * 300_000 + b'",', True),
        (b'"' + rb"\\" * 500_000 + b'",', True),
    ],
)
def test_megabytes_hold_nothing_up(unit: bytes, few: bool) -> None:
    content = bytearray(b"[" + unit * (MEGABYTES // len(unit)) + b"0]")
    began = time.perf_counter()
    assert has_few_values(content) is few
    if few:
        msgspec.json.decode(content)
    assert time.perf_counter() - began < within(0.3)


def test_the_limit_is_what_a_long_conversation_needs() -> None:
    messages = [{"role": "user", "content": [{"type": "text", "text": "a, b"}]}] * 10_000
    content = bytearray(json.dumps({"messages": messages}).encode())
    assert len(content) > 2 * VALUES_LIMIT
    assert has_few_values(content)
