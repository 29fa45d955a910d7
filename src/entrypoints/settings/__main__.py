"""Write docs/settings.md and .env.example in the current directory anew."""

from pathlib import Path

from entrypoints.settings.reference import example, markdown

Path("docs/settings.md").write_text(markdown())
Path(".env.example").write_text(example())
