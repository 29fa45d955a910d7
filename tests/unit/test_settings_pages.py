"""What documents say of the settings is what the code says."""

import re
from pathlib import Path

from entrypoints.settings.loading import names
from entrypoints.settings.reference import example, markdown
from entrypoints.settings.sources import NOT_OF_THE_SERVICE

ROOT = Path(__file__).parents[2]


def test_the_pages_about_settings_are_what_the_code_makes() -> None:
    """To be written anew with `python -m entrypoints.settings`."""
    assert (ROOT / "docs/settings.md").read_text() == markdown()
    assert (ROOT / ".env.example").read_text() == example()


def test_no_document_names_a_setting_that_there_is_not() -> None:
    known = {*names(), *NOT_OF_THE_SERVICE}
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]:
        named = set(re.findall(r"\bLONGTASK_[A-Z_]*[A-Z]", page.read_text()))
        if page.name != "CHANGELOG.md":  # it tells of what once was, too
            assert named <= known, page


def test_the_settings_that_one_needs_first_are_settings() -> None:
    text = (ROOT / "docs/operations.md").read_text()
    rows = set(re.findall(r"^\| `([A-Z_]+)` \|", text, re.MULTILINE))
    assert 10 <= len(rows) <= 15
    assert rows <= {*names()}


def test_the_readmes_lead_to_the_page_about_settings() -> None:
    for readme in ("README.md", "README.zh-CN.md"):
        assert "(docs/settings.md)" in (ROOT / readme).read_text(), readme
