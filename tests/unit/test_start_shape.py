"""What is wrong with the shape of a start: the same verdict as msgspec's, and every fault."""

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from entrypoints.http.native.bodies import StartBody
from entrypoints.http.native.shape import NAME_LIMIT, shape_faults

scalars = st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-9, 9) | st.text(max_size=3)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)
messages = st.lists(
    st.fixed_dictionaries(
        {}, optional={"role": st.just("user") | values, "content": values, "name": values}
    ),
    max_size=3,
)
bodies = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(("prompt", "system", "model", "maxTokens", "temperature", "other"), values),
        "messages": messages | values,
        "metadata": st.dictionaries(st.text(max_size=3), st.text(max_size=3)) | values,
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
        "messages": [{"role": 2, "x": 3}, []],
        "metadata": {"a": 1, "b": 2},
        "y": 4,
    }
    assert {each["field"]: each["message"] for each in shape_faults(body, StartBody)} == {
        "prompt": "must be a string",
        "messages[0].role": 'must be one of "system", "user", "assistant"',
        "messages[0].content": "is required",
        "messages[0].x": "unknown field",
        "messages[1]": "must be an object",
        "metadata": "each value must be a string",
        "y": "unknown field",
    }


def test_a_long_name_is_shortened() -> None:
    name = "x" * 1_000_000
    faults = shape_faults(
        {name: 1, "messages": [{"role": "user", "content": "", name: 1}]}, StartBody
    )
    assert [each["field"] for each in faults] == [
        f"messages[0].{'x' * NAME_LIMIT}…",
        f"{'x' * NAME_LIMIT}…",
    ]
