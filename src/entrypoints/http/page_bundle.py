"""The bundle of the page: all scripts in one file, and all styles in another.

`vendor/fetch.py` writes it beside the page, with a first line that says of what sources. Where it
fits the sources that are there, as in every package that was built with npm, the page loads it. A
clone without it, or in which a source has changed since, loads the sources one by one. Standard
library only: what makes the bundle imports this.
"""

import hashlib
import re
from pathlib import Path

SCRIPT = "page.min.js"
STYLE = "page.min.css"
_MAIN = "page.js"
_STYLESHEETS = re.compile(r'( *<link rel="stylesheet" href="/web/)([\w.-]+)(">\n)')


def first_line(web: Path) -> str:
    """Return what the files of a bundle of these sources begin with."""
    files = sorted({*web.glob("*.js"), *web.glob("*.css")} - {web / SCRIPT, web / STYLE})
    contents = [file.read_bytes() for file in (*files, web / "index.html")]
    made_from = hashlib.sha256(b"".join(hashlib.sha256(each).digest() for each in contents))
    return f"/* Longtask's page, made from {made_from.hexdigest()} */"


def is_bundled(web: Path) -> bool:
    """Return whether there is a bundle of the sources that are there."""
    made = [web / SCRIPT, web / STYLE]
    if not all(each.is_file() for each in made):
        return False
    wanted = first_line(web)
    return all(each.read_text(encoding="utf-8").startswith(wanted) for each in made)


def stylesheets(html: str) -> list[str]:
    """Return the names of the styles that the page loads, in order."""
    return [name for _, name, _ in _STYLESHEETS.findall(html)]


def with_bundle(html: str) -> str:
    """Return the page that loads the bundle."""
    begin, _, close = _STYLESHEETS.findall(html)[0]
    html = _STYLESHEETS.sub("", html)
    script = f'<script type="module" src="/web/{_MAIN}">'
    return html.replace(f"  {script}", f"{begin}{STYLE}{close}  {script.replace(_MAIN, SCRIPT)}", 1)
