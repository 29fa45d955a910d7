"""What is wrong with a JSON value that should have the shape of a type: every fault, in words of
JSON. msgspec decodes a thousand times as fast, but stops at the first one."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from msgspec import inspect

from domain.errors import shown
from domain.request import FAULTS_LIMIT
from entrypoints.http.problems import FieldFault


def shape_faults(value: object, shape: Any) -> list[FieldFault]:
    """Return the faults of a decoded value. The field of the value itself is `body`."""
    return list(islice(_faults(value, inspect.type_info(shape), ""), FAULTS_LIMIT))


def _faults(value: object, shape: inspect.Type, field: str) -> Iterator[FieldFault]:
    match shape:
        case inspect.AnyType():
            return
        case inspect.Metadata(type=inner):
            yield from _faults(value, inner, field)
        case inspect.UnionType(types=types):
            if value is None and any(isinstance(each, inspect.NoneType) for each in types):
                return
            others = [each for each in types if not isinstance(each, inspect.NoneType)]
            if len(others) == 1:
                yield from _faults(value, others[0], field)
            else:
                yield from _fault_unless(_has_shape(value, others), field, others)
        case inspect.StructType() if isinstance(value, dict):
            yield from _struct_faults(value, shape, field)
        case inspect.ListType(item_type=item) if isinstance(value, list):
            for index, each in enumerate(value):
                yield from _faults(each, item, f"{field}[{index}]")
        case inspect.DictType(value_type=item) if isinstance(value, dict):
            # A key may be any text: only the field that holds it is named.
            yield from islice(_each_value_faults(value.values(), item, field), 1)
        case _:
            yield from _fault_unless(_has_shape(value, [shape]), field, [shape])


def _struct_faults(
    value: dict[str, Any], shape: inspect.StructType, field: str
) -> Iterator[FieldFault]:
    known = {each.encode_name: each for each in shape.fields}
    prefix = f"{field}." if field else ""
    for name, each in known.items():
        if name in value:
            yield from _faults(value[name], each.type, prefix + name)
        elif each.required:
            yield {"field": prefix + name, "message": "is required"}
    for name in value:
        if name not in known:
            yield {"field": prefix + shown(name), "message": "unknown field"}


def _each_value_faults(
    values: Iterable[object], shape: inspect.Type, field: str
) -> Iterator[FieldFault]:
    for each in values:
        for fault in _faults(each, shape, field):
            yield {"field": field, "message": f"each value {fault['message']}"}


def _fault_unless(right: bool, field: str, shapes: Sequence[inspect.Type]) -> Iterator[FieldFault]:
    if not right:
        words = " or ".join(dict.fromkeys(_in_words(each) for each in shapes))
        yield {"field": field or "body", "message": f"must be {words}"}


def _has_shape(value: object, shapes: Sequence[inspect.Type]) -> bool:
    for shape in shapes:
        match shape:
            case inspect.StrType():
                right = isinstance(value, str)
            case inspect.IntType() | inspect.FloatType():
                right = isinstance(value, int | float) and not isinstance(value, bool)
            case inspect.BoolType():
                right = isinstance(value, bool)
            case inspect.EnumType(cls=choices):
                right = isinstance(value, str) and value in [each.value for each in choices]
            case _:
                right = False  # an array or an object, of which the value is none
        if right:
            return True
    return False


def _in_words(shape: inspect.Type) -> str:
    match shape:
        case inspect.StrType():
            return "a string"
        case inspect.IntType() | inspect.FloatType():
            return "a number"
        case inspect.BoolType():
            return "true or false"
        case inspect.EnumType(cls=choices):
            return "one of " + ", ".join(f'"{each.value}"' for each in choices)
        case inspect.ListType():
            return "an array"
        case _:
            return "an object"
