"""API keys: how they are made, written in the settings, and told apart.

A key is 256 random bits, so one SHA-256 of it is enough: there is nothing to guess, and nothing
that a slow hash would slow down but the service. The settings hold the hashes; whoever reads them
has no key.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

_NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"
_ENTRY = re.compile(rf"({_NAME}):(sha256:[0-9a-f]{{64}}|lt_[A-Za-z0-9_-]{{20,}})")
_PREFIX = "lt_"
"""What a scanner for leaked secrets may look for."""


class MalformedKeys(ValueError):
    """Raised with what is wrong with the setting, and without any part of it but its names."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """`name` owns what is done with the key. Several keys may bear one name: so one replaces
    another without a moment when neither is valid."""

    name: str
    digest: bytes
    plain: bool
    """Whether the setting held the key itself."""


def new_key(name: str) -> tuple[str, str]:
    """A key, and the entry for it in LONGTASK_API_KEYS. Raises MalformedKeys for a name that is
    none."""
    key = _PREFIX + secrets.token_urlsafe(32)
    entry = f"{name}:sha256:{hashlib.sha256(key.encode()).hexdigest()}"
    parse_keys(entry)
    return key, entry


def parse_keys(text: str) -> tuple[ApiKey, ...]:
    """Entries `name:sha256:<hex>` (or, in development, `name:<key>`) with commas or white space in
    between. Raises MalformedKeys."""
    keys = []
    for number, entry in enumerate(re.split(r"[,\s]+", text.strip(", \n\t")), 1):
        match = _ENTRY.fullmatch(entry)
        if match is None:
            raise MalformedKeys(
                f"entry {number} is not name:sha256:<64 hex digits>; "
                "`longtask key new NAME` makes a key and its entry"
            )
        name, value = match.groups()
        plain = value.startswith(_PREFIX)
        digest = (
            hashlib.sha256(value.encode()).digest()
            if plain
            else bytes.fromhex(value.removeprefix("sha256:"))
        )
        keys.append(ApiKey(name, digest, plain))
    return tuple(keys)


def name_of(given: str, keys: Sequence[ApiKey]) -> str | None:
    """The name of the key that was given, if it is one of them. Takes the same time whichever it
    is, and however much of one was guessed."""
    digest = hashlib.sha256(given.encode()).digest()
    found: str | None = None
    for key in keys:
        if hmac.compare_digest(key.digest, digest):
            found = key.name
    return found
