"""Every setting: where it comes from, its type and bounds, and what must hold between them.

One module per group of settings; `loading` reads them all, `checks` has the rules between groups,
`reference` writes docs/settings.md and .env.example.
"""

from entrypoints.settings.loading import (
    ENV_FILE,
    SettingsError,
    load_group,
    load_settings,
    settings_in_file,
    unknown_settings,
)
from entrypoints.settings.settings import Settings

__all__ = [
    "ENV_FILE",
    "Settings",
    "SettingsError",
    "load_group",
    "load_settings",
    "settings_in_file",
    "unknown_settings",
]
