"""What the AnswerChecker promises (application/ports/answer_checker.py)."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from adapters.json_schema import JsonSchemaChecker
from application.ports import AnswerChecker
from tests.builders import schema_format
from tests.waiting import within

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 0}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
TREE = {"type": "object", "properties": {"next": {"$ref": "#"}}, "additionalProperties": False}
DRAFT_4 = "http://json-schema.org/draft-04/schema#"


@pytest.fixture
async def checker() -> AsyncIterator[AnswerChecker]:
    opened = JsonSchemaChecker(time_limit=within(20))
    yield opened
    await opened.aclose()


async def _told(
    checker: AnswerChecker, cases: Sequence[tuple[Any, str, bool | None]]
) -> list[tuple[Any, str, bool | None]]:
    return [(form, text, await checker.fits(form, text)) for form, text, _ in cases]


async def test_a_text_fits_its_schema_or_not(checker: AnswerChecker) -> None:
    cases = [
        (schema_format(schema), text, fits)
        for schema, text, fits in [
            (PERSON, '{"name": "Ada", "age": 36}', True),
            (PERSON, ' {"age":36,\n"name":"\\u00e9\\ud83d\\ude00"} ', True),
            (PERSON, '{"name": "Ada"}', False),
            (PERSON, '{"name": "Ada", "age": -1}', False),
            (PERSON, '{"name": "Ada", "age": 1, "x": 1}', False),
            (PERSON, '{"name": "Ada", "age": 1, "age": "2"}', False),  # the last one counts
            (PERSON, '{"name": "Ada", "age": "2", "age": 1}', True),
            (TREE, '{"next": {"next": {}}}', True),
            (TREE, '{"next": {"next": 1}}', False),
            ({"multipleOf": 0.01}, "19.99", True),
            ({"multipleOf": 0.01}, "19.999", False),
            ({"maximum": 7}, "1e400", False),
            ({"maximum": 7}, "1e999999999", False),
            ({"minimum": 2**70}, str(2**70 - 1), False),
            ({"type": "integer"}, "1.0", True),
            ({"type": "string", "pattern": "^(a+)+$"}, '"aab"', False),
            ({"format": "date"}, '"no date"', True),  # as the specification has it by default
            ({"$schema": DRAFT_4, "minimum": 1, "exclusiveMinimum": True}, "1", False),
            ({}, "null", True),
            (True, "1", True),
            (False, "1", False),
        ]
    ]
    assert await _told(checker, cases) == cases


@pytest.mark.parametrize("kind", ["schema", "json_object"])
async def test_what_is_no_json_does_not_fit(checker: AnswerChecker, kind: str) -> None:
    form = schema_format({}) if kind == "schema" else {"type": "json_object"}
    texts = [
        "",
        " ",
        "{",
        "{}{}",
        "```json\n{}\n```",
        "{'a': 1}",
        "NaN",
        '{"a": Infinity}',
        "\ufeff{}",
    ]
    cases: list[tuple[Any, str, bool | None]] = [(form, text, False) for text in texts]
    assert await _told(checker, cases) == cases


async def test_for_a_json_object_any_object_fits(checker: AnswerChecker) -> None:
    form = {"type": "json_object"}
    cases: list[tuple[Any, str, bool | None]] = [
        (form, "{}", True),
        (form, '{"a": [1, {"b": null}]}', True),
        (form, "[]", False),
        (form, '"{}"', False),
        # As llama.cpp and others take a schema.
        ({**form, "schema": PERSON}, "{}", False),
        ({**form, "schema": PERSON}, '{"name": "Ada", "age": 36}', True),
        ({"type": "json_schema", "schema": PERSON}, "{}", False),
    ]
    assert await _told(checker, cases) == cases


async def test_without_a_schema_there_is_nothing_to_check(checker: AnswerChecker) -> None:
    forms: list[Any] = [
        {},
        {"type": "text"},
        {"type": None},
        {"type": ["json_schema"]},
        {"type": "grammar", "grammar": "root ::= x"},
        {"type": "json_schema"},
        {"type": "json_schema", "json_schema": {"name": "x"}},
        {"type": "json_schema", "json_schema": None},
        {"type": "json_schema", "json_schema": {"schema": "{}"}},
        {"type": "json_schema", "json_schema": {"schema": [{}]}},
        {"json_schema": {"schema": {}}},
    ]
    cases: list[tuple[Any, str, bool | None]] = [(form, "1", None) for form in forms]
    assert await _told(checker, cases) == cases


async def test_a_schema_that_cannot_be_used_checks_nothing(checker: AnswerChecker) -> None:
    deep: Any = {}
    for _ in range(100_000):
        deep = {"not": deep}
    schemas: list[Any] = [
        {"type": "integr"},
        {"type": 7},
        {"properties": []},
        {"multipleOf": 0},
        {"maximum": float("nan")},
        {"maximum": float("inf")},
        {"required": ["a", "a"]},
        {"pattern": "("},
        {"pattern": "^(?=a)(a+)+$"},  # no engine finds such a one in linear time
        {"pattern": r"(a)\1"},
        {"pattern": "(((a{100}){100}){100}){100}"},
        {"patternProperties": {"(": {}}},
        {"$ref": "#/$defs/none"},
        {"$ref": "#none"},
        {"$ref": 1},
        {"$schema": "urn:unknown"},
        {"const": "\ud800"},
        {"const": 10**5000},
        {"description": "x" * 300_000},
        deep,
    ]
    cases: list[tuple[Any, str, bool | None]] = [
        (schema_format(each), "1", None) for each in schemas
    ]
    assert [told for _, _, told in await _told(checker, cases)] == [None] * len(cases)


async def test_a_text_beyond_the_bounds_is_not_checked(checker: AnswerChecker) -> None:
    texts = [
        "[" * 201 + "]" * 201,
        "[" * 900_000,
        '{"a":' * 900_000,
        "1" * 5_000,  # Python reads numbers of up to 4,300 digits
        '"' + "x" * 2_000_000 + '"',
        '"\ud800"',
        '"\\ud800"',
    ]
    schema = {"items": {"$ref": "#"}, "maxLength": 3}
    told = [await checker.fits(schema_format(schema), text) for text in texts]
    assert told == [None] * len(texts)
    assert await checker.fits(schema_format(schema), "[" * 200 + "]" * 200) is True
    assert await checker.fits(schema_format({"minLength": 9}), f'"{"x" * 1_999_000}"') is True
