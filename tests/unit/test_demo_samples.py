"""The samples of the demo model: values that fit a JSON schema."""

import json
import time
from typing import Any

import jsonschema_rs
import pytest

from adapters.demo.samples import sample


def _deep(schema: dict[str, Any]) -> dict[str, Any]:
    return {"$ref": "#/$defs/node", "$defs": {"node": schema}}


NODE = {"$ref": "#/$defs/node"}
SCHEMAS: list[dict[str, Any]] = [
    {"type": "string", "minLength": 50, "maxLength": 60},
    {"type": "string", "maxLength": 2},
    *({"type": "string", "format": each} for each in ("date", "date-time", "email", "uuid")),
    {"type": ["null", "string"]},
    {"enum": ["a", 5]},
    {"const": {"a": [1]}},
    {"type": "boolean"},
    {"type": "null"},
    {"type": "integer", "minimum": 3, "maximum": 3},
    {"type": "integer", "maximum": -3},
    {"type": "integer", "exclusiveMinimum": 7, "multipleOf": 5},
    {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
    {"type": "number", "minimum": 2.5, "maximum": 2.8},
    {"type": "array", "items": {"type": "integer"}, "minItems": 3, "uniqueItems": True},
    {"type": "array", "items": {"enum": ["a", "b"]}, "minItems": 2, "uniqueItems": True},
    {"type": "array", "items": {"type": "string"}, "maxItems": 0},
    {"prefixItems": [{"type": "string"}, {"type": "integer"}], "items": False, "type": "array"},
    {"anyOf": [{"type": "null"}, {"type": "integer", "multipleOf": 5, "minimum": 11}]},
    {"oneOf": [{"type": "object", "properties": {"a": {"const": 1}}, "required": ["a"]}]},
    {
        "allOf": [
            {"properties": {"a": {"type": "boolean"}}, "required": ["a"]},
            {"properties": {"b": {"const": 5}}, "required": ["b"]},
        ],
    },
    {"required": ["x"], "additionalProperties": {"type": "integer"}},
    {"properties": {"a": True, "b": {"default": 5}, "c": {"examples": ["z"]}}},
    _deep(
        {
            "type": "object",
            "properties": {"value": {"type": "integer"}, "kids": {"type": "array", "items": NODE}},
            "required": ["value", "kids"],
            "additionalProperties": False,
        }
    ),
    _deep({"required": ["next"], "properties": {"next": {"anyOf": [NODE, {"type": "null"}]}}}),
]


@pytest.mark.parametrize("schema", SCHEMAS, ids=str)
def test_samples_fit_ordinary_schemas(schema: dict[str, Any]) -> None:
    assert jsonschema_rs.is_valid(schema, sample(schema, "a question"))


@pytest.mark.parametrize(
    "schema",
    [
        None,
        True,
        5,
        {"$ref": "https://e.example/schema"},
        {"$ref": "#/nowhere"},
        {"$ref": "#"},
        {"type": 5, "required": 5, "properties": 5, "anyOf": 5, "allOf": [5], "enum": {}},
        {
            "type": "object",
            "required": ["a", "b"],
            "properties": {"a": {"$ref": "#"}, "b": {"$ref": "#"}},
        },
        {"type": "array", "minItems": 10**9, "items": {"$ref": "#"}},
        {"type": "integer", "minimum": 10**400},
        {"type": "number", "minimum": 1e300, "multipleOf": 1e-320},
        {"type": "string", "minLength": 10**9},
    ],
    ids=str,
)
def test_samples_of_other_schemas_are_bounded_json(schema: object) -> None:
    assert len(json.dumps(sample(schema, ""), allow_nan=False)) < 10_000_000


@pytest.mark.parametrize("fields", [300, 10_000])
@pytest.mark.parametrize("parts", [0, 100])
def test_a_schema_that_is_referred_to_many_times_is_soon_left(fields: int, parts: int) -> None:
    """Its parts were merged, its fields copied, for each of 20,000 values: it took minutes."""
    large = {"type": "object", "properties": {f"field{n}": {} for n in range(fields)}}
    item = {"allOf": [{"$ref": "#/$defs/large"}] * parts} if parts else large
    lists = {"type": "array", "minItems": 20, "items": item}
    schema = {"$defs": {"large": large}, "type": "array", "minItems": 1_000, "items": lists}
    began = time.process_time()
    json.dumps(sample(schema, ""))
    assert time.process_time() - began < 6.0
