"""The walks in CONTRIBUTING.md name files and functions that exist."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src"
WALKS = ("The walk of a request", "The walk of a token")
NAME = r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)?"
FILE = r"[\w/]+\.(?:py|lua)"


def walk(title: str) -> str:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    return text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def defined_in(file: Path) -> set[str]:
    """The classes, functions, methods (`Class.method` and `method`) and constants of a module."""
    if file.suffix != ".py":
        return set()
    found = set()
    for node in ast.parse(file.read_text()).body:
        match node:
            case ast.ClassDef(name=name):
                methods = {each.name for each in node.body if isinstance(each, FUNCTIONS)}
                found |= {name, *methods, *(f"{name}.{each}" for each in methods)}
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                found.add(name)
            case ast.Assign(targets=[ast.Name(id=name)]):
                found.add(name)
    return found


FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
DEFINED = {str(file.relative_to(SRC)): defined_in(file) for file in SRC.rglob("*.py")}
EVERYTHING = set().union(*DEFINED.values())


def names_with_files(text: str) -> Iterator[tuple[str, str]]:
    """Each (name, file) that the text puts together, in a row of the table or in a sentence."""
    for file, names in re.findall(rf"^\| \d+ \| `({FILE})` \| ([^|]*) \|", text, re.MULTILINE):
        yield from ((name, file) for name in re.findall(rf"`({NAME})`", names))
    for pattern in (rf"`({NAME})` (?:\(|in )`({FILE})`", rf"\(`({NAME})`, `({FILE})`\)"):
        yield from re.findall(pattern, text)
    for file, name in re.findall(rf"\(`({FILE})`, `({NAME})`\)", text):
        yield name, file


@pytest.mark.parametrize("title", WALKS)
def test_each_file_exists(title: str) -> None:
    files = re.findall(rf"`({FILE})`", walk(title))
    assert files
    stored = {str(file.relative_to(SRC)) for file in SRC.rglob("*.*")}
    known = stored | {Path(each).name for each in stored}
    assert [each for each in files if each not in known] == []


@pytest.mark.parametrize("title", WALKS)
def test_each_name_is_defined(title: str) -> None:
    names = {each for each in re.findall(rf"`({NAME})`", walk(title)) if not re.match(FILE, each)}
    assert names
    assert names - EVERYTHING == set()


@pytest.mark.parametrize("title", WALKS)
def test_each_name_is_defined_in_the_file_beside_it(title: str) -> None:
    pairs = list(names_with_files(walk(title)))
    assert pairs
    assert [(name, file) for name, file in pairs if name not in defined_beside(file)] == []


def defined_beside(file: str) -> set[str]:
    """What a file defines. The file may be named without its folder."""
    return set().union(
        *(names for path, names in DEFINED.items() if f"/{path}".endswith(f"/{file}"))
    )
