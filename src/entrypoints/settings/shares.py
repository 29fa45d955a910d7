"""LONGTASK_SHARES: how its text is read.

`*:parallelism=4,team-a:parallelism=20:rate=60/1m` gives team-a twenty tasks at a time, of which
sixty may begin in a minute, and every other owner four.
"""

import re

from domain.flow_control import Share, Shares
from entrypoints.api_keys import is_name
from entrypoints.settings.group import entries

EVERYBODY = "*"
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_RATE = re.compile(r"([0-9]{1,12})/([0-9]{0,12})([smhd])")
_FORM = (
    "NAME:parallelism=N, NAME:rate=N/PERIOD (such as 60/1m) or NAME:parallelism=N:rate=N/PERIOD, "
    "where NAME is that of an API key, or *"
)

_VALUES = {
    "parallelism": "a number of digits only, such as 4",
    "rate": "N/PERIOD, such as 10/s, 60/1m, 1000/2h or 5000/1d",
}


def parse_shares(text: str) -> Shares:
    """Read the shares of owners. Raises ValueError with every fault, a line each, without
    repeating what could be a key."""
    found: dict[str, Share] = {}
    faults: list[str] = []
    for number, entry in enumerate(entries(text), 1):
        name, _, limits = entry.partition(":")
        if not limits or (name != EVERYBODY and not is_name(name)):
            faults.append(f"entry {number} is not {_FORM}{_nameless(entry)}")
        elif name in found:
            faults.append(
                f"entry {number} comes after another one of the same name: join them, as in "
                "NAME:parallelism=N:rate=N/PERIOD"
            )
        else:
            try:
                found[name] = _share(limits)
            except ValueError as error:
                faults.append(f"entry {number} {error}")
    if faults:
        raise ValueError("\n".join(faults))
    return Shares(found.pop(EVERYBODY, None), found)


def shares_as_text(shares: Shares) -> str:
    """The text that `parse_shares` reads as these shares."""
    return ",".join(f"{name}:{_as_text(share)}" for name, share in shares.all())


def _share(text: str) -> Share:
    """Read `parallelism=4:rate=60/1m`, or one of the two. Raises ValueError with what is wrong, in
    words that follow the name of an entry."""
    numbers: dict[str, int] = {}
    for part in text.split(":"):
        name, _, value = part.partition("=")
        rate = _RATE.fullmatch(value)
        if name and name in numbers:
            raise ValueError(f"names {name} twice")
        if name == "parallelism" and re.fullmatch("[0-9]{1,12}", value):
            numbers["parallelism"] = int(value)
        elif name == "rate" and rate is not None:
            numbers["rate"] = int(rate[1])
            numbers["period"] = int(rate[2] or 1) * _UNITS[rate[3]]
        elif name in _VALUES and "=" in part:
            raise ValueError(f"has a {name} that is not {_VALUES[name]}")
        else:
            raise ValueError(f"is not {_FORM}")
    share = Share(**numbers)
    if faults := [f"{fault.field} {fault.message}" for fault in share.faults()]:
        raise ValueError(f"is out of bounds: {', '.join(faults)}")
    return share


def _nameless(entry: str) -> str:
    """Return what to do about an entry that is a limit without a name."""
    if entry.partition("=")[0] in _VALUES:
        return "; limits of one name are joined by ':', entries are separated by ','"
    return ""


def _as_text(share: Share) -> str:
    parts = [] if share.parallelism is None else [f"parallelism={share.parallelism}"]
    if share.rate is not None:
        unit = next(each for each in "dhms" if share.period % _UNITS[each] == 0)
        parts.append(f"rate={share.rate}/{share.period // _UNITS[unit]}{unit}")
    return ":".join(parts)
