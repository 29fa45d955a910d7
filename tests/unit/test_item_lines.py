"""What hosted tools did, as commands print it."""

from typing import Any

import pytest

from entrypoints.client.item_lines import SHOWN, item_line
from entrypoints.client.printing import Printer
from entrypoints.task_commands.record_text import record_text
from tests.official.logs import FILES, MCP, PICTURE, RUN, SEARCH, TOOLS

LINES = {
    "web search: Oslo": SEARCH,
    "file search: Oslo": FILES,
    "code interpreter: print(6 * 7)": RUN,
    "picture of 9 bytes": PICTURE,
    "tools of maps: find": TOOLS,
    'tool of maps: find, {"city": "Oslo"}': MCP,
}


@pytest.mark.parametrize("line", LINES)
def test_each_hosted_tool_has_its_line(line: str) -> None:
    assert item_line(dict(LINES[line].data)) == line


@pytest.mark.parametrize(
    ("item", "line"),
    [
        ({}, "item: None"),
        ({"type": "later\x1b[2J"}, r"item: later\x1b[2J"),
        ({"type": "web_search_call", "action": {"type": "open_page", "url": "u"}}, "web page: u"),
        (
            {"type": "web_search_call", "action": {"type": "find_in_page", "pattern": "p"}},
            "web page: , looked for p",
        ),
        ({"type": "web_search_call", "action": [], "status": "failed"}, "web search:  (failed)"),
        ({"type": "mcp_list_tools", "server_label": 1, "tools": [None]}, "tools of 1: None"),
        (
            {"type": "mcp_call", "server_label": "s", "name": "f", "error": "e"},
            "tool of s: f failed, {}",
        ),
        ({"type": "code_interpreter_call", "code": "x\n" * 999}, None),
    ],
)
def test_any_item_is_one_short_line_that_is_safe_to_print(
    item: dict[str, Any], line: str | None
) -> None:
    told = item_line(item)
    assert line is None or told == line
    assert told.isprintable()
    assert len(told) <= 4 * SHOWN + 1


def test_a_command_prints_them_as_they_come_and_from_the_record(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Printer().show("e-1", {"type": "item", "data": SEARCH.data})
    assert capsys.readouterr().err == "web search: Oslo\n"
    record = {"taskId": "task_1_a", "status": "completed", "items": [SEARCH.data], "text": "So."}
    assert record_text(record).endswith("web search: Oslo\n\nSo.")
