"""Loading the settings from the environment or a `.env` file, and reporting all faults together."""

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from entrypoints.settings.checks import CHECKS
from entrypoints.settings.group import Group, names_of
from entrypoints.settings.settings import Settings
from entrypoints.settings.sources import named_in, stray_secrets

ENV_FILE = Path(".env")


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
        loaded[name], found = _load(group, env_file, given)
        malformed += found
    if overrides:
        raise TypeError(f"no such settings: {', '.join(overrides)}")
    settings = Settings(**loaded)
    faults += malformed
    for check in CHECKS:
        try:
            faults += check(settings)
        except AttributeError:  # it reads a setting that is malformed
            if not malformed:
                raise
    if faults:
        raise SettingsError("\n".join(f"  - {fault}" for fault in faults))
    return settings


def _load(
    group: type[Group], env_file: Path | None, given: dict[str, Any]
) -> tuple[Group, list[str]]:
    """Load a group, and say what is malformed. Malformed settings are missing in the group."""
    load: Callable[..., Group] = group  # pydantic-settings adds `_env_file` at run time
    try:
        return load(_env_file=env_file, **given), []
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False)
    fields_by_location = {
        location: (name, variable)
        for name, field in group.model_fields.items()
        for variable in names_of(field)
        for location in (name, variable)
    }
    named = [(*fields_by_location[str(fault["loc"][0])], fault["msg"]) for fault in found]
    defaults = {name: group.model_fields[name].default for name, _, _ in named}
    partial = load(_env_file=env_file, **{**given, **defaults})
    for name in defaults:
        del partial.__dict__[name]
    return partial, [
        f"{variable}: {line}" for _, variable, message in named for line in message.splitlines()
    ]


def settings_in_file(env_file: Path = ENV_FILE) -> list[str]:
    """The names of the settings to which the file gives a value. The environment may override
    it."""
    return sorted(named_in(env_file).intersection(names()))
