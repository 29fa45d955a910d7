"""The check of a text by a schema: with the service's options, the library says what it says by
itself."""

import json
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.json_schema.check import DEPTH, verdict

NAMES = st.sampled_from(["a", "b", "c"])
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | NUMBERS | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
TYPES = st.sampled_from(["null", "boolean", "integer", "number", "string", "array", "object"])


def _containing(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.fixed_dictionaries(
            {"type": st.just("object"), "properties": st.dictionaries(NAMES, inner, max_size=3)},
            optional={
                "required": st.lists(NAMES, unique=True),
                "additionalProperties": st.booleans() | inner,
                "patternProperties": st.dictionaries(st.just("^[ab]$"), inner),
            },
        ),
        st.fixed_dictionaries(
            {"type": st.just("array"), "items": inner},
            optional={"maxItems": st.integers(0, 3), "uniqueItems": st.booleans()},
        ),
        st.fixed_dictionaries({"anyOf": st.lists(inner, min_size=1, max_size=2)}),
        st.fixed_dictionaries({"allOf": st.lists(inner, min_size=1, max_size=2)}),
        st.fixed_dictionaries({"not": inner}),
    )


SCHEMAS = st.recursive(
    st.one_of(
        st.booleans(),
        st.fixed_dictionaries({"type": TYPES}),
        st.fixed_dictionaries({"enum": st.lists(VALUES, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"const": VALUES}),
        st.fixed_dictionaries({"minimum": NUMBERS}, optional={"exclusiveMaximum": NUMBERS}),
        st.fixed_dictionaries({"multipleOf": st.integers(1, 7) | st.just(0.5)}),
        st.fixed_dictionaries({"minLength": st.integers(0, 3)}, optional={"type": TYPES}),
        st.fixed_dictionaries({"pattern": st.sampled_from(["^a*$", "[0-9]+", "^.{2,3}$", "é|b"])}),
    ),
    _containing,
    max_leaves=6,
)


def _with_a_reference(schema: Any) -> Any:
    return {
        "items": {"$ref": "#/$defs/d"},
        "allOf": [{"$ref": "#/$defs/d"}],
        "$defs": {"d": schema},
    }


@pytest.mark.soak
@settings(max_examples=200, deadline=None)
@given(SCHEMAS | SCHEMAS.map(_with_a_reference), VALUES)
def test_a_usual_schema_is_judged_as_by_the_library_alone(schema: Any, value: Any) -> None:
    text = json.dumps(value)
    expected = jsonschema_rs.is_valid(schema, json.loads(text))
    assert verdict(json.dumps(schema).encode(), text.encode()) is expected


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=30), st.binary(max_size=30))
def test_no_bytes_raise(schema: bytes, text: bytes) -> None:
    assert verdict(schema, text) in (True, False, None)


@pytest.mark.parametrize(
    ("levels", "fits"), [(1, True), (DEPTH, True), (DEPTH + 1, None), (100_000, None)]
)
@pytest.mark.parametrize("ends", ["[]", "{}"])
def test_a_text_is_checked_to_a_depth(ends: str, levels: int, fits: bool | None) -> None:
    text = ends[0] * levels + ends[1] * levels
    if ends == "{}":
        text = '{"a":' * (levels - 1) + "{}" + "}" * (levels - 1)
    assert verdict(b'{"type": ["object", "array"]}', text.encode()) is fits
