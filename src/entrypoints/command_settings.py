"""The settings of a command, and what it says of those that are wrong."""

import sys
from typing import Any

import click

from entrypoints.outgoing_proxies import bypass_proxies
from entrypoints.settings import Settings, SettingsError, load_settings, unknown_settings

SETTINGS_EXIT = 2


def settings_or_exit(**overrides: Any) -> Settings:
    """Return the settings, those that are given here and not None before all others. Where one is
    wrong, say so and exit with status 2."""
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        settings = load_settings(**given)
    except SettingsError as error:
        click.echo(f"longtask cannot start with these settings:\n{error}", err=True)
        tell_of_unknown()  # a setting that is missing may be there under a misspelt name
        sys.exit(SETTINGS_EXIT)
    bypass_proxies(settings.service.host)
    return settings


def tell_of_unknown() -> None:
    """Warn of each variable that looks like a setting and is none."""
    for each in unknown_settings():
        click.echo(f"warning: {each}", err=True)
