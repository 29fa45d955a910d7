"""The shells complete commands and options, as docs/clients.md says."""

import pytest
from click.testing import CliRunner

from entrypoints.cli import main


@pytest.mark.parametrize(
    ("shell", "begins"),
    [
        ("bash", "_longtask_completion()"),
        ("zsh", "#compdef longtask"),
        ("fish", "function _longtask_completion"),
    ],
)
def test_a_script_for_each_shell(shell: str, begins: str) -> None:
    script = _complete({"_LONGTASK_COMPLETE": f"{shell}_source"})
    assert begins in script
    assert f"_LONGTASK_COMPLETE={shell}_complete" in script


def test_commands_and_options_are_completed() -> None:
    asked = {"_LONGTASK_COMPLETE": "zsh_complete"}
    assert "follow" in _complete({**asked, "COMP_WORDS": "longtask fo", "COMP_CWORD": "1"})
    options = _complete({**asked, "COMP_WORDS": "longtask follow --a", "COMP_CWORD": "2"})
    assert "--after" in options


def _complete(asked: dict[str, str]) -> str:
    return CliRunner().invoke(main, [], prog_name="longtask", env=asked).stdout
