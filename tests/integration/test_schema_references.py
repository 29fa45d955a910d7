"""A reference out of a schema is never followed: no request reaches a server, and no file is read.

The library by itself follows both, which shows that the tests would see it."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from adapters.json_schema import JsonSchemaChecker
from tests.builders import schema_format
from tests.doubles.destination import Answer, Destination
from tests.waiting import within

INTEGER = b'{"type": "integer"}'
DRAFT_2019 = "https://json-schema.org/draft/2019-09/schema"
DRAFT_7 = "http://json-schema.org/draft-07/schema#"
DRAFT_4 = "http://json-schema.org/draft-04/schema#"

# AWAY stands for an address. A reference to it gives None. Else it stands where the specification
# has no reference, and the rest of the schema is checked.
SCHEMAS: dict[str, tuple[Any, bool | None]] = {
    "whole": ({"$ref": "AWAY"}, None),
    "fragment": ({"$ref": "AWAY#/$defs/x"}, None),
    "beside others": ({"type": "integer", "$ref": "AWAY"}, None),
    "property": ({"properties": {"a": {"$ref": "AWAY"}}}, None),
    "deep": (
        {"allOf": [{"items": [{"not": {"anyOf": [{"$ref": "AWAY"}]}}]}, {"$ref": "AWAY"}]},
        None,
    ),
    "definition": ({"$defs": {"a": {"$ref": "AWAY"}}, "$ref": "#/$defs/a"}, None),
    "own id": ({"$id": "AWAY", "$ref": "other"}, None),
    "id of a part": ({"items": {"$id": "AWAY", "items": {"$ref": "other"}}}, None),
    "id of a definition": (
        {"$defs": {"a": {"$id": "AWAY", "$ref": "x.json"}}, "$ref": "#/$defs/a"},
        None,
    ),
    "dynamic": ({"$dynamicRef": "AWAY#node"}, None),
    "recursive": ({"$schema": DRAFT_2019, "$recursiveRef": "AWAY"}, True),
    "ref of 2019": ({"$schema": DRAFT_2019, "unevaluatedItems": {"$ref": "AWAY"}}, None),
    "ref of draft 7": (
        {"$schema": DRAFT_7, "definitions": {"a": {"$ref": "AWAY"}}, "$ref": "#/definitions/a"},
        None,
    ),
    "id of draft 4": ({"$schema": DRAFT_4, "id": "AWAY", "items": {"$ref": "other"}}, None),
    "meta-schema": ({"$schema": "AWAY"}, None),
    "meta-schema of a part": ({"items": {"$id": "urn:a", "$schema": "AWAY"}}, True),
    "vocabulary": ({"$vocabulary": {"AWAY": True}, "type": "integer"}, True),
    "its own id": (
        {"$id": "AWAY", "$ref": "AWAY#/$defs/a", "$defs": {"a": {"type": "integer"}}},
        True,
    ),
    "value of an enum": ({"enum": [1, {"$ref": "AWAY"}]}, True),
    "unknown keyword": ({"x-a": {"$ref": "AWAY"}, "type": "integer"}, True),
    "pattern": ({"pattern": "AWAY"}, True),
}


def _away(schema: Any, address: str) -> Any:
    if isinstance(schema, str):
        return schema.replace("AWAY", address)
    if isinstance(schema, list):
        return [_away(each, address) for each in schema]
    if isinstance(schema, dict):
        return {_away(name, address): _away(value, address) for name, value in schema.items()}
    return schema


@pytest.fixture
def server() -> Iterator[Destination]:
    with Destination().running() as destination:
        destination.answers.extend([Answer(body=INTEGER)] * 100)
        yield destination


async def _told(address: str) -> dict[str, bool | None]:
    checker = JsonSchemaChecker(time_limit=within(20))
    told = {
        name: await checker.fits(schema_format(_away(schema, address)), "1")
        for name, (schema, _) in SCHEMAS.items()
    }
    await checker.aclose()
    return told


async def test_no_server_is_asked(server: Destination) -> None:
    expected = {name: fits for name, (_, fits) in SCHEMAS.items()}
    assert await _told(f"{server.url}/schema.json") == expected
    assert server.delivered == []
    by_itself = {"$ref": f"{server.url}/schema.json"}
    assert await asyncio.to_thread(jsonschema_rs.is_valid, by_itself, 1) is True
    assert len(server.delivered) == 1


async def test_no_file_is_read(tmp_path: Path) -> None:
    for name in ("schema.json", "other", "x.json"):
        (tmp_path / name).write_bytes(INTEGER)
    expected = {name: fits for name, (_, fits) in SCHEMAS.items()}
    address = (tmp_path / "schema.json").as_uri()
    assert await _told(address) == expected
    assert jsonschema_rs.is_valid({"$ref": address}, 1) is True
    assert jsonschema_rs.is_valid({"$ref": address}, "a") is False


async def test_the_meta_schemas_of_the_drafts_are_known_without_a_request() -> None:
    checker = JsonSchemaChecker(time_limit=within(20))
    form = schema_format({"$ref": "https://json-schema.org/draft/2020-12/schema"})
    assert await checker.fits(form, '{"type": "integer"}') is True
    assert await checker.fits(form, '{"type": "integr"}') is False
    await checker.aclose()
