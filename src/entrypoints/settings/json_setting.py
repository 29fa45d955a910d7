"""Settings that are JSON: written in the setting itself, or in a file that it names."""

import json
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, NoReturn

MAX_BYTES = 1_048_576


def read_json_object(text: str) -> dict[str, Any]:
    """Return the object that a setting holds, or the file that it names. Its numbers are exact
    (`Decimal`). Raises ValueError with one sentence."""
    text = text.strip()
    if not text.startswith(("{", "[", '"')):
        text = _read_file(Path(text))
    try:
        value = json.loads(
            text,
            parse_float=Decimal,
            parse_int=Decimal,
            parse_constant=_no_constant,
            object_pairs_hook=_object,
        )
    except json.JSONDecodeError as error:
        raise ValueError(
            f"is not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from None
    except RecursionError:
        raise ValueError("is not JSON that can be read: it lies too deep in itself") from None
    if isinstance(value, dict):
        return value
    raise ValueError("must be a JSON object")


def _read_file(path: Path) -> str:
    try:
        with path.open("rb") as file:
            found = file.read(MAX_BYTES + 1)
        if len(found) > MAX_BYTES:
            raise ValueError(f"the file {path} has more than {MAX_BYTES} bytes")
        return found.decode("utf-8-sig")
    except OSError as error:
        raise ValueError(
            f"is neither a JSON object nor a file that can be read: {path}: {error.strerror}"
        ) from None
    except UnicodeDecodeError:
        raise ValueError(f"the file {path} is not UTF-8") from None


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"has {twice!r} twice")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"has {name}, which is no number of JSON")
