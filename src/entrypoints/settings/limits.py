"""LONGTASK_LIMITS, LONGTASK_ADDRESS_LIMITS and LONGTASK_OWNER_LIMITS: how their texts are read.

`team-a:tokens=5000000:running=50,team-b:tokens=none` gives team-a limits of its own of tokens and
of running tasks, and team-b no limit of tokens. What is not named is limited as for everybody.
"""

from collections.abc import Iterable, Mapping
from dataclasses import fields, replace

from application.accounts import Limits
from entrypoints.api_keys import is_name
from entrypoints.settings.group import entries, words

LARGEST_LIMIT = 10**15
NO_LIMIT = "none"
_LIMITS = tuple(each.name for each in fields(Limits))
_CHOICES = ", ".join(f"{each}=N" for each in _LIMITS)
_FORM = (
    f"NAME:LIMIT or NAME:LIMIT:LIMIT, where NAME is that of an API key, and LIMIT one of {_CHOICES}"
)


class OwnerLimits(dict[str, Mapping[str, int | None]]):
    """What each owner that is named has of its own, by the fields of Limits. None: no limit."""

    def over(self, limits: Limits) -> Mapping[str, Limits]:
        """Return all the limits of these owners: where they have none of their own, `limits`."""
        return {name: replace(limits, **own) for name, own in self.items()}


def parse_limits(text: str) -> Limits:
    """Read `starts=60,running=20`. Raises ValueError with every fault, a line each."""
    return Limits(**_read(words(text), lifted=False))


def limits_as_text(limits: Limits) -> str:
    """The text that `parse_limits` reads as these limits."""
    values = {name: getattr(limits, name) for name in _LIMITS}
    return ",".join(f"{name}={value}" for name, value in values.items() if value is not None)


def parse_owner_limits(text: str) -> OwnerLimits:
    """Read `team-a:tokens=5000000:running=50,team-b:tokens=none`. Raises ValueError with every
    fault, a line each, without repeating what could be a key."""
    found = OwnerLimits()
    faults: list[str] = []
    for number, entry in enumerate(entries(text), 1):
        name, _, limits = entry.partition(":")
        if not is_name(name) or not limits:
            faults.append(f"entry {number} is not {_FORM}{_nameless(entry)}")
        elif name in found:
            faults.append(
                f"entry {number} comes after another one of the same name: join them, as in "
                "NAME:running=N:tokens=N"
            )
        else:
            found[name] = {}
            try:
                found[name] = _read(limits.split(":"), lifted=True)
            except ValueError as error:
                faults += [f"entry {number}: {fault}" for fault in str(error).split("\n")]
    if faults:
        raise ValueError("\n".join(faults))
    return found


def owner_limits_as_text(limits: OwnerLimits) -> str:
    """The text that `parse_owner_limits` reads as these limits."""
    return ",".join(
        ":".join([owner, *(f"{name}={value or NO_LIMIT}" for name, value in own.items())])
        for owner, own in limits.items()
    )


def _read(entries: Iterable[str], *, lifted: bool) -> dict[str, int | None]:
    """Read entries such as `starts=60`, or `starts=none` where a limit can be `lifted`. Raises
    ValueError with every fault, a line each."""
    found: dict[str, int | None] = {}
    faults = []
    no_limit = f"{NO_LIMIT} for no limit" if lifted else "left out for no limit"
    for entry in entries:
        name, _, value = entry.partition("=")
        is_number = value.isascii() and value.isdigit()
        if name not in _LIMITS or not (is_number or (lifted and value == NO_LIMIT)):
            # Of an owner's limit only a known name is repeated: the rest could be a key.
            told = repr(entry) if not lifted or name in _LIMITS else "what follows the name"
            faults.append(f"{told} is not one of {_CHOICES} (N has digits only){_meant(entry)}")
        elif name in found:
            faults.append(f"{entry!r} comes after another limit of {name}")
        elif not is_number:
            found[name] = None
        elif len(value) > len(str(LARGEST_LIMIT)) or not 1 <= int(value) <= LARGEST_LIMIT:
            faults.append(f"{name} must be from 1 to {LARGEST_LIMIT}, or {no_limit}")
        else:
            found[name] = int(value)
    if faults:
        raise ValueError("\n".join(faults))
    return found


def _nameless(entry: str) -> str:
    """Return what to do about an entry of LONGTASK_OWNER_LIMITS that has no name."""
    if entry.startswith("*:"):
        return "; LONGTASK_LIMITS has those of everybody else"
    if entry.partition("=")[0] in _LIMITS:
        return "; limits of one key are joined by ':', entries are separated by ','"
    return ""


def _meant(entry: str) -> str:
    """Return what to do about an entry of LONGTASK_LIMITS that names an owner."""
    _, colon, limit = entry.partition(":")
    if colon and limit.partition("=")[0] in _LIMITS:
        return "; the limits of one API key belong into LONGTASK_OWNER_LIMITS"
    return ""
