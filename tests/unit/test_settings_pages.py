"""What docs and READMEs say of the settings is what the code says."""

import re
from pathlib import Path

from entrypoints.settings.loading import names
from entrypoints.settings.reference import example, markdown

ROOT = Path(__file__).parents[2]


def test_the_pages_about_settings_are_what_the_code_makes() -> None:
    """To be written anew with `python -m entrypoints.settings`."""
    assert (ROOT / "docs/settings.md").read_text() == markdown()
    assert (ROOT / ".env.example").read_text() == example()


def test_the_readmes_name_no_setting_that_there_is_not() -> None:
    known = {*names(), "LONGTASK_KEY", "LONGTASK_SERVER"}
    for readme in ("README.md", "README.zh-CN.md"):
        text = (ROOT / readme).read_text()
        assert set(re.findall(r"\bLONGTASK_[A-Z_]+", text)) <= known, readme
        rows = set(re.findall(r"^\| `([A-Z_]+)` \|", text, re.MULTILINE))
        assert 10 <= len(rows) <= 15, readme
        assert rows <= known, readme
        assert "(docs/settings.md)" in text, readme
