"""docs/codes.md lists every code of a failure, every reason of a lost attempt and every type of a
problem that the code uses."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from adapters.openai.errors import _REFUSALS, _TEMPORARY
from domain.failure import CONTINUATION_LOST
from entrypoints.http.faults import _LIMITED

ROOT = Path(__file__).parents[2]


def section(title: str) -> str:
    text = (ROOT / "docs/codes.md").read_text()
    return text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


@cache
def calls() -> list[tuple[str, list[object]]]:
    """Each call in src of a name or a method, with its arguments: constants, or None."""
    found = []
    for file in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            match node:
                case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)):
                    found.append((name, [getattr(each, "value", None) for each in node.args]))
    return found


def failures() -> Iterator[tuple[str, bool]]:
    """Each code, and whether a failure with it is retryable."""
    yield from ((code, False) for code in _REFUSALS)
    yield from ((code, True) for code in _TEMPORARY)
    for name, values in calls():
        match name, values:
            case "ModelRefused", [str(code), *_]:
                yield code, False
            case "ModelUnavailable", [str(code), *_]:
                yield code, True
            case "Failure", [str(code), _, bool(retryable)]:
                yield code, retryable
            case "TaskErrored", [_, _, str(code), bool(retryable)]:
                yield code, retryable


def reasons() -> Iterator[str]:
    """Each reason of a lost attempt: a temporary fault of the model, or the service's own."""
    yield from (*_TEMPORARY, CONTINUATION_LOST, "internal_error")
    for name, values in calls():
        match name, values:
            case ("ModelUnavailable", [str(reason), *_]):
                yield reason
            case "requeue", [_, str(reason), *_] | [_, _, str(reason), *_]:
                yield reason


def problems() -> Iterator[str]:
    """The name of each problem that a response may have as its type."""
    yield from (f"too-many-{each}" for each in _LIMITED)
    for name, values in calls():
        match name, values:
            case ("problem", [_, str(kind), *_]) | ("_unauthorized", [str(kind), *_]):
                yield kind
            case (("PreviousUnusable" | "NotRetryable"), [str(code), *_]):
                yield code.replace("_", "-")


def test_every_code_is_listed() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (yes|no) \|", section("`code` of an `error` event"), re.M)
    assert sorted((code, word == "yes") for code, word in rows) == sorted(set(failures()))


def test_every_reason_is_listed() -> None:
    rows = re.findall(r"^\| (`.*`) \|", section("`reason` of a `status` event"), re.M)
    listed = re.findall(r"`(\w+)`", " ".join(rows))
    assert sorted(listed) == sorted(set(reasons()))


def test_the_page_says_every_code_in_both_languages() -> None:
    codes = {*(code for code, _ in failures()), *reasons()}
    for language in ("english", "chinese"):
        words = (ROOT / f"src/entrypoints/web/{language}-codes.js").read_text()
        assert set(re.findall(r"^  (\w+): \"", words, re.M)) == codes


def test_every_problem_is_listed() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \|", section("`type` of a problem"), re.M)
    # The name of this one is in a variable.
    assert sorted(rows) == sorted({*problems(), "keys-unknown"})
