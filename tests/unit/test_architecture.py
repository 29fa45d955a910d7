"""The hexagon is a rule: import-linter's contracts in pyproject.toml hold."""

from importlinter.cli import lint_imports


def test_imports_point_inwards(capsys: object) -> None:
    assert lint_imports(no_cache=True) == 0
