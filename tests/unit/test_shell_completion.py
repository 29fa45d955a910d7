"""The shells complete commands, options and the ids of tasks, as docs/clients.md says."""

from threading import Event

import pytest
from click.testing import CliRunner

from entrypoints.cli import main
from entrypoints.task_commands import completion
from tests.doubles.destination import Answer, Destination
from tests.doubles.upstream import Upstream, refusal
from tests.running import Running


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
    words = {"COMP_WORDS": "longtask tasks --status c", "COMP_CWORD": "3"}
    assert _complete({**asked, **words}).splitlines()[1::3] == ["completed", "cancelled"]


def test_ids_are_completed_from_the_list(service: Running, upstream: Upstream) -> None:
    upstream.then(refusal(401, "invalid_api_key"))
    failed = service.client.start("Why?\x1b")
    service.client.wait_for(failed, "failed")
    completed = service.client.start("Hi.")
    service.client.wait_for(completed, "completed")

    def ids(*words: str, server: str = service.url) -> list[str]:
        asked = {
            "_LONGTASK_COMPLETE": "zsh_complete",
            "COMP_WORDS": " ".join(["longtask", *words]),
            "COMP_CWORD": str(len(words)),
            "LONGTASK_SERVER": server,
        }
        lines = _complete(asked).splitlines()
        if failed in lines:
            assert lines[lines.index(failed) + 1] == r"failed: Why?\x1b"
        return lines[1::3]

    assert ids("show", "task_") == [completed, failed]
    assert ids("follow", failed) == [failed]
    assert ids("delete", failed, "task_") == [completed]
    assert ids("retry", "task_") == [failed]
    assert ids("cancel", "task_") == []
    assert ids("show", "x") == []
    assert ids("show", "task_", server="http://127.0.0.1:1") == []
    assert ids("show", "task_", server="no url") == []


def test_completion_waits_for_no_slow_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completion, "_TIMEOUT", 0.05)
    gate = Event()
    with Destination().running() as slow:
        slow.answers.append(Answer(gate=gate))
        asked = {
            "_LONGTASK_COMPLETE": "zsh_complete",
            "COMP_WORDS": "longtask show task_",
            "COMP_CWORD": "2",
            "LONGTASK_SERVER": slow.url,
        }
        assert _complete(asked).strip() == ""
        gate.set()


def _complete(asked: dict[str, str]) -> str:
    return CliRunner().invoke(main, [], prog_name="longtask", env=asked).stdout
