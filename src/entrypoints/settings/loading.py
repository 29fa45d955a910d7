"""Loading the settings from the environment or a `.env` file, and reporting all faults together."""

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from entrypoints.settings.checks import CHECKS
from entrypoints.settings.group import Group, names_of
from entrypoints.settings.malformed import MALFORMED, UnknownValue
from entrypoints.settings.model_keys import with_upstream_keys
from entrypoints.settings.settings import Settings
from entrypoints.settings.sources import misspelt, named_in, stray_secrets

ENV_FILE = Path(".env")

G = TypeVar("G", bound=Group)


class SettingsError(Exception):
    """Raised with one message that lists every fault of the settings."""


def groups() -> dict[str, type[Group]]:
    """The groups of `Settings`, by field name."""
    return {field.name: field.type for field in fields(Settings) if isinstance(field.type, type)}


def names() -> list[str]:
    """Every name of every setting in the environment."""
    return [
        name
        for group in groups().values()
        for field in group.model_fields.values()
        for name in names_of(field)
    ]


def load_settings(env_file: Path | None = ENV_FILE, **overrides: Any) -> Settings:
    """Load each setting from the overrides (by field name), else the environment, else the file.
    Raises SettingsError with all faults, and TypeError for an override that is no setting."""
    faults = stray_secrets(env_file)
    loaded: dict[str, Any] = {}
    malformed: list[str] = []
    for name, group in groups().items():
        given = {each: overrides.pop(each) for each in group.model_fields if each in overrides}
        loaded[name], found = load_group(group, env_file, given)
        malformed += found
    loaded["model"], found = with_upstream_keys(loaded["model"], env_file)
    malformed += found
    if overrides:
        raise TypeError(f"no such settings: {', '.join(overrides)}")
    settings = Settings(**loaded)
    faults += malformed
    for check in CHECKS:
        try:
            faults += check(settings)
        except UnknownValue:
            continue  # its rule depends on a setting whose own fault is told
    if faults:
        raise SettingsError("\n".join(f"  - {fault}" for fault in faults))
    return settings


def load_group(group: type[G], env_file: Path | None, given: dict[str, Any]) -> tuple[G, list[str]]:
    """Load a group, and say what is malformed. A malformed setting has the value MALFORMED."""
    load: Callable[..., G] = group  # pydantic-settings adds `_env_file` at run time
    try:
        return load(_env_file=env_file, **given), []
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False)
    fields_by_location = {
        location: (name, " or ".join(names_of(field)))
        for name, field in group.model_fields.items()
        for location in (name, *names_of(field))
    }
    named = [(*fields_by_location[str(fault["loc"][0])], fault["msg"]) for fault in found]
    defaults = {name: group.model_fields[name].default for name, _, _ in named}
    partial = load(_env_file=env_file, **{**given, **defaults})
    partial.__dict__.update(dict.fromkeys(defaults, MALFORMED))
    return partial, [
        f"{variables}: {line}" for _, variables, message in named for line in message.splitlines()
    ]


def settings_in_file(env_file: Path = ENV_FILE) -> list[str]:
    """The names of the settings to which the file gives a value. The environment may override
    it."""
    return sorted(named_in(env_file).intersection(names()))


def unknown_settings(env_file: Path = ENV_FILE) -> list[str]:
    """A sentence for each variable of the environment or the file that looks like a setting but is
    none."""
    return misspelt(names(), env_file)
