"""docs/settings.md and .env.example, and the values in force, made from the settings' own
declarations."""

import re
from collections.abc import Iterator
from textwrap import fill
from typing import Any, cast

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from application.accounts import Limits
from domain.flow_control import Shares
from domain.prices import Prices
from entrypoints.outside_text import without_password
from entrypoints.settings.group import Group
from entrypoints.settings.limits import OwnerLimits, limits_as_text, owner_limits_as_text
from entrypoints.settings.loading import groups
from entrypoints.settings.settings import Settings
from entrypoints.settings.shares import shares_as_text
from entrypoints.settings.usage import prices_as_text

_MARKDOWN = """\
# Settings

Settings come from the environment or from a `.env` file in the current directory
([.env.example](../.env.example)); the environment wins. An empty value counts as not set. Wrong
settings stop the start, and all of them are reported at once. A variable `LONGTASK_*` that is no
setting is warned of. `longtask config` shows the settings in force without secrets, and
`longtask doctor` checks them against the real store, queue and model.

The commands that call a running service read two more variables, from the environment only:
`LONGTASK_SERVER` (its URL, as `--server`) and `LONGTASK_KEY` (an API key of it, as `--key`). What
comes before and after them: [clients.md](clients.md#the-server-and-its-key).

This page is made from the code: `python -m entrypoints.settings` writes it and `.env.example`.
"""
_LINK = re.compile(r"\[([^\]]+)\]\([^)]+\)")
_EXAMPLE = """\
# Copy to .env and uncomment what you need. With nothing set the service runs on the embedded
# default: tasks and a local QStash in the file .longtask/longtask.db, and the demo model.
# Made from the code: `python -m entrypoints.settings` writes it and docs/settings.md.
"""


def markdown() -> str:
    """The text of docs/settings.md."""
    sections = [_MARKDOWN]
    for group in groups().values():
        rows = [
            f"| `{field.alias}` | {_default(field)} | {_extra(field)['unit']} "
            f"| {field.description} |"
            for field in group.model_fields.values()
        ]
        head = ["| setting | default | unit | meaning |", "| --- | --- | --- | --- |"]
        sections.append("\n".join([f"## {group.title}", "", *head, *rows, ""]))
    return "\n".join(sections)


def example() -> str:
    """The text of .env.example."""
    sections = [_EXAMPLE]
    for group in groups().values():
        sections.append(f"## {group.title}")
        sections += [_example_of(field) for field in group.model_fields.values()]
    return "\n".join(sections)


def describe(settings: Settings) -> Iterator[tuple[str, str, str]]:
    """Each setting as (name, value, meaning). Secrets are shown as `(set)`."""
    for name in groups():
        group: Group = getattr(settings, name)
        for field_name, field in type(group).model_fields.items():
            value = getattr(group, field_name)
            hidden = isinstance(value, SecretStr) or (_extra(field)["secret"] and value)
            shown = "(set)" if hidden else without_password(_shown(value))
            yield str(field.alias), shown, _meaning(field)


def _example_of(field: FieldInfo) -> str:
    comment = fill(_meaning(field), 98, initial_indent="# ", subsequent_indent="# ")
    return f"{comment}\n#{field.alias}={_shown(field.default)}\n"


def _meaning(field: FieldInfo) -> str:
    """What docs/settings.md says in three columns, as one text."""
    extra, meaning = _extra(field), _LINK.sub(r"\1", field.description or "")
    # "How many streams" needs no unit.
    unit = f"In {extra['unit']}." if extra["unit"] and extra["unit"] not in meaning else ""
    otherwise = f"Default: {extra['otherwise']}." if extra["otherwise"] else ""
    return " ".join(filter(None, (meaning, unit, otherwise)))


def _default(field: FieldInfo) -> str:
    shown = _shown(field.default)
    return _extra(field)["otherwise"] or (f"`{shown}`" if shown else "not set")


def _extra(field: FieldInfo) -> dict[str, Any]:
    return cast(dict[str, Any], field.json_schema_extra)


def _shown(value: object) -> str:
    """The text that would be read as this value."""
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case float():
            return f"{value:.12g}"
        case OwnerLimits():
            return owner_limits_as_text(value)
        case dict():  # of secrets, which are never shown
            return ""
        case tuple():
            return ",".join(map(str, value))
        case Limits():
            return limits_as_text(value)
        case Shares():
            return shares_as_text(value)
        case Prices():
            return prices_as_text(value)
        case _:
            return str(value)
