"""Which settings name the owners of API keys, and are there such keys?"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from entrypoints.api_keys import could_be_key
from entrypoints.settings.settings import Settings

_NAMED: Mapping[str, Callable[[Settings], Collection[str]]] = {
    "LONGTASK_SHARES": lambda settings: settings.access.shares.named,
    "LONGTASK_OWNER_LIMITS": lambda settings: settings.access.owner_limits,
    "LONGTASK_OPERATORS": lambda settings: settings.usage.operators,
    "LONGTASK_MODELS: owners": lambda settings: (
        () if settings.model.models is None else sorted(settings.model.models.named_owners)
    ),
}


def unknown_owners(settings: Settings) -> Mapping[str, Sequence[str]]:
    """Return the names that no API key has, by the setting that names them."""
    found = {setting: _unknown(settings, named(settings)) for setting, named in _NAMED.items()}
    return {setting: names for setting, names in found.items() if names}


def _unknown(settings: Settings, names: Collection[str]) -> Sequence[str]:
    keys = {key.name for key in settings.access.keys_at_start}
    return [name for name in names if name not in keys]


def _check(
    setting: str, named: Callable[[Settings], Collection[str]]
) -> Callable[..., Iterator[str]]:
    def check(settings: Settings) -> Iterator[str]:
        names, access = named(settings), settings.access
        if names and not access.requires_keys:
            yield f"{setting} names API keys, but there are none: set LONGTASK_API_KEYS"
        elif names and access.api_keys_file is None:  # whose keys may come later
            known = ", ".join(sorted({key.name for key in access.api_keys}))
            for name in _unknown(settings, names):
                told = "a name" if could_be_key(name) else repr(name)
                yield f"{setting} has {told}, which is not one of LONGTASK_API_KEYS: {known}"

    return check


OWNER_CHECKS = tuple(_check(setting, named) for setting, named in _NAMED.items())
"""The checks of each of these settings (checks.py)."""
