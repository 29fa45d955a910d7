"""Make sample data that fits a JSON schema, for ordinary schemas.

Not looked at are `pattern`, conditions and `not`, and references out of the schema are never
followed. The sample is plausible by the names of its fields, and the same schema always gets the
same one.
"""

from collections.abc import Mapping
from typing import Any

DEPTH_LIMIT = 4
"""How deep fields that need not be there are filled in, and lists that may be empty."""
SAMPLES_LIMIT = 2_000
"""How many values are made before only those that must be there are. A part of an `allOf` counts as
a value, since it takes as long."""
END, SAMPLES_END = 20, 20_000
"""How deep a schema is followed at all, since it may contain itself, and for how many values."""
LONGEST = 1_000
"""Characters of a text, and values of a list, however many the schema demands."""
LARGEST = 2.0**53
"""Of a number, beyond which none is sought."""
PARTS_LIMIT = 100
"""Parts of an `allOf` that are looked at."""
WEIGHT = 100
"""Entries of a schema that count as one more value: a large one may be referred to many times."""

_FORMATS = {
    "date": "2025-01-31",
    "date-time": "2025-01-31T12:00:00Z",
    "time": "12:00:00Z",
    "duration": "PT1H",
    "email": "demo@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}
_NAMES = {
    ("city", "location", "place", "destination"): "Paris",
    ("country",): "France",
    ("unit", "units"): "celsius",
    ("language", "locale", "lang"): "en",
    ("currency",): "EUR",
    ("email",): "demo@example.com",
    ("url", "link", "website"): "https://example.com/",
    ("date", "day"): "2025-01-31",
    ("path", "file", "filename"): "demo.txt",
    ("expression", "formula"): "1 + 1",
    ("name", "author", "person"): "Ada Lovelace",
}
_PLAUSIBLE = {name: text for names, text in _NAMES.items() for name in names}
_ASKED = {"query", "question", "prompt", "q", "text", "input", "message", "search", "topic"}
_SHALLOW = ("$ref", "allOf", "anyOf", "oneOf")


def sample(schema: object, question: str) -> Any:
    """Return JSON data that fits a schema. An object without a schema is empty."""
    return _Sampler(schema, question).make(schema, "", 0, 0) if schema else {}


class _Sampler:
    def __init__(self, root: object, question: str) -> None:
        self._root = root
        self._question = question or "demo"
        self._made = 0

    def make(self, given: object, name: str, number: int, depth: int) -> Any:
        """`name`: of the field that the value is for. `number`: among values that must differ."""
        self._made += 1
        if depth >= END or self._made > SAMPLES_END:
            return None
        schema = self._plain(given if isinstance(given, Mapping) else {}, depth)
        if "const" in schema:
            return schema["const"]
        if "default" in schema and not number:
            return schema["default"]
        for listed in (schema.get("enum"), schema.get("examples")):
            if isinstance(listed, list) and listed:
                return listed[number % len(listed)]
        match _kind(schema, self._is_deep(depth)):
            case "object":
                return self._object(schema, depth)
            case "array":
                return self._array(schema, name, depth)
            case "integer" | "number" as kind:
                return _number(schema, number, whole=kind == "integer")
            case "boolean":
                return number % 2 == 0
            case "null":
                return None
        return self._string(schema, name, number)

    def _is_deep(self, depth: int) -> bool:
        return depth > DEPTH_LIMIT or self._made > SAMPLES_LIMIT

    def _plain(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        """Return a schema without references and alternatives: the first one that is not null, or
        null where it is deep."""
        plain = dict(schema)
        self._made += _weight(plain)
        for _ in range(END):
            if self._made > SAMPLES_END or not any(key in plain for key in _SHALLOW):
                break
            inner = [self._referred(plain.pop("$ref"))] if "$ref" in plain else []
            inner += _schemas(plain.pop("allOf", None))[:PARTS_LIMIT]
            for key in ("anyOf", "oneOf"):
                choices = _schemas(plain.pop(key, None))
                empty = [each for each in choices if each.get("type") == "null"]
                full = [each for each in choices if each.get("type") != "null"]
                inner += ((empty or full) if self._is_deep(depth) else (full or empty))[:1]
            for each in inner:
                if self._made > SAMPLES_END:
                    break
                plain = _merged(plain, each)
                self._made += 1 + _weight(plain)
        return plain

    def _referred(self, reference: object) -> Mapping[str, Any]:
        """Return the part of the schema that a JSON pointer names, or a schema that all fits."""
        found: Any = self._root
        if not isinstance(reference, str) or not reference.startswith("#"):
            return {}
        for step in filter(None, reference[1:LONGEST].split("/")):
            name = step.replace("~1", "/").replace("~0", "~")
            found = found.get(name) if isinstance(found, Mapping) else None
        return found if isinstance(found, Mapping) else {}

    def _object(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        given, needed = schema.get("properties"), schema.get("required")
        fields = dict(given) if isinstance(given, Mapping) else {}
        listed = needed if isinstance(needed, list) else []
        required = [each for each in listed if isinstance(each, str)]
        names = required if self._is_deep(depth) else list(dict.fromkeys([*fields, *required]))
        others = schema.get("additionalProperties")
        return {name: self.make(fields.get(name, others), name, 0, depth + 1) for name in names}

    def _array(self, schema: Mapping[str, Any], name: str, depth: int) -> list[Any]:
        first = schema.get("prefixItems")
        first = first if isinstance(first, list) else []
        usual = 0 if self._is_deep(depth) else max(1, len(first))
        least = max(usual, _whole(schema.get("minItems"), 0))
        size = min(least, _whole(schema.get("maxItems"), least), LONGEST)
        return [
            self.make(
                first[number] if number < len(first) else schema.get("items"),
                name,
                number,
                depth + 1,
            )
            for number in range(size)
        ]

    def _string(self, schema: Mapping[str, Any], name: str, number: int) -> str:
        form, word = schema.get("format"), name.lower()
        if isinstance(form, str) and form in _FORMATS:
            return _FORMATS[form]
        plausible = self._question if word in _ASKED else _PLAUSIBLE.get(word, "demo")
        text = f"{plausible} {number + 1}" if number else plausible
        least = min(_whole(schema.get("minLength"), 0), LONGEST)
        return text.ljust(least, "o")[: _whole(schema.get("maxLength"), LONGEST)]


def _kind(schema: Mapping[str, Any], deep: bool) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kinds = [each for each in kind if isinstance(each, str)]
        full = [each for each in kinds if each != "null"]
        kind = "null" if deep and "null" in kinds else (full or kinds or [""])[0]
    if isinstance(kind, str):
        return kind
    if "properties" in schema or "required" in schema:
        return "object"
    if "items" in schema or "prefixItems" in schema:
        return "array"
    return "number" if "minimum" in schema or "maximum" in schema else "string"


def _number(schema: Mapping[str, Any], number: int, *, whole: bool) -> int | float:
    """Return the smallest number above 0 that fits, or the largest if none above 0 does."""
    step = _amount(schema.get("multipleOf")) or 1.0
    margin = step if whole else step / 2  # beside an exclusive bound
    low = max(_amount(schema.get("minimum"), -LARGEST), _beside(schema, "exclusiveMinimum", margin))
    high = min(
        _amount(schema.get("maximum"), LARGEST), _beside(schema, "exclusiveMaximum", -margin)
    )
    value = (number + 1) * step
    if value < low:
        value = (-(-low // step) + number) * step
    if value > high:
        value = high // step * step
        value = value if value >= low else high
    return round(value) if whole or value.is_integer() else value


def _beside(schema: Mapping[str, Any], name: str, margin: float) -> float:
    return _amount(schema.get(name), -LARGEST if margin > 0 else LARGEST) + margin


def _amount(value: object, default: float = 0.0) -> float:
    """Return a number that a float can hold with its neighbours, else the default."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return default
    return float(value) if -LARGEST < value < LARGEST else default


def _whole(value: object, default: int) -> int:
    return value if type(value) is int and value >= 0 else default


def _schemas(value: object) -> list[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []


def _weight(schema: Mapping[str, Any]) -> int:
    """Return how many values a schema counts as, since it is copied for each of them."""
    held = (schema.get(key) for key in ("properties", "required", "type", *_SHALLOW))
    return sum(len(each) for each in (schema, *held) if isinstance(each, Mapping | list)) // WEIGHT


def _merged(schema: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema that asks for what both ask for, in the fields of objects at least."""
    merged = {**schema, **other}
    for key, kind in (("properties", Mapping), ("required", list)):
        both = [each[key] for each in (schema, other) if isinstance(each.get(key), kind)]
        if len(both) == 2:
            merged[key] = {**both[0], **both[1]} if kind is Mapping else [*both[0], *both[1]]
    return merged
