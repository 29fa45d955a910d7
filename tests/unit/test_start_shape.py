"""What is wrong with the shape of a start: the same verdict as msgspec's, and every fault."""

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import NAME_LIMIT
from entrypoints.http.native.shape import shape_faults
from entrypoints.http.native.start_body import StartBody

scalars = st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-9, 9) | st.text(max_size=3)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)
texts = st.dictionaries(st.text(max_size=3), st.text(max_size=3))
bodies = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(("prompt", "system", "model", "maxTokens", "temperature"), values),
        **dict.fromkeys(("messages", "options", "previousTaskId", "other"), values),
        "metadata": texts | values,
    },
)


@given(bodies | values)
def test_a_body_has_faults_where_msgspec_refuses_it(body: Any) -> None:
    try:
        msgspec.convert(body, StartBody)
    except msgspec.ValidationError:
        assert shape_faults(body, StartBody)
    else:
        assert shape_faults(body, StartBody) == []


def test_every_fault_is_named_once() -> None:
    body = {
        "prompt": 1,
        "messages": {},
        "options": [],
        "previousTaskId": 5,
        "metadata": {"a": 1, "b": 2},
        "y": 4,
    }
    assert {each["field"]: each["message"] for each in shape_faults(body, StartBody)} == {
        "prompt": "must be a string",
        "messages": "must be an array",
        "options": "must be an object",
        "previousTaskId": "must be a string",
        "metadata": "each value must be a string",
        "y": "unknown field",
    }


def test_a_long_name_is_shortened() -> None:
    name = "x" * 1_000_000
    faults = shape_faults({name: 1}, StartBody)
    assert [each["field"] for each in faults] == [f"{'x' * NAME_LIMIT}…"]
