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
    text, told = text.strip(), "is"
    if not text.startswith(("{", "[", '"')):
        text, told = _read_file(Path(text)), f"the file {text} is"
    try:
        value = json.loads(
            text,
            parse_float=Decimal,
            parse_int=Decimal,
            parse_constant=_no_constant,
            object_pairs_hook=_object,
        )
    except json.JSONDecodeError as error:
        if told == "is" and error.pos >= len(text):
            raise ValueError(
                "is not JSON: it ends too early. In .env a setting is one line: write the JSON "
                "into a file of its own, and set this to its path"
            ) from None
        raise ValueError(
            f"{told} not JSON: {_fault(error)} at line {error.lineno}, column {error.colno}"
        ) from None
    except RecursionError:
        raise ValueError(f"{told} not JSON that can be read: it lies too deep in itself") from None
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
        what = "is neither a JSON object nor a file that can be read"
        if "{" in str(path):  # a map that something stands before, with the keys that it holds
            raise ValueError(f"{what}: a JSON object begins with {{, without quotes") from None
        raise ValueError(f"{what}: {path.absolute()}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"the file {path} is not UTF-8") from None


def _fault(error: json.JSONDecodeError) -> str:
    """Return what is wrong, in words that people in a hurry understand."""
    before, after = error.doc[: error.pos].rstrip(), error.doc[error.pos :].lstrip()
    if after[:1] in ("}", "]") and before.endswith(","):
        return f"a comma stands before {after[0]}"
    if after.startswith(("//", "/*", "#")):
        return "JSON has no comments, and one stands"
    return error.msg


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"has {twice!r} twice")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"has {name}, which is no number of JSON")
