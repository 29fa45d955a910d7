"""API keys: how they are made, written in the settings, and recognized.

The settings hold hashes of the keys, so that reading the settings gives no key away. A key has 256
random bits, so plain SHA-256 is enough: a slow hash protects what can be guessed.
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
"""Lets a scanner for leaked secrets find keys."""


class MalformedKeys(ValueError):
    """Raised with what is wrong with LONGTASK_API_KEYS, without repeating any of it."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key by its hash. `name` owns the tasks that are started with it. Several keys may have one
    name, so that one can replace another without a moment when neither is valid."""

    name: str
    digest: bytes
    plain: bool
    """Whether the entry held the key itself."""

    @property
    def entry(self) -> str:
        """Its entry, by its hash."""
        return f"{self.name}:sha256:{self.digest.hex()}"


def is_name(text: str) -> bool:
    """Whether an API key may have this name."""
    return re.fullmatch(_NAME, text) is not None


def could_be_key(name: str) -> bool:
    """Whether what stands where a name should could be a key, which no message may show."""
    return name.startswith(_PREFIX) or len(name) > 20


def setting_lines(settings: dict[str, str], secret_is_set: bool) -> list[str]:
    """The lines of these settings, and of a secret for stream links if there is none yet. They
    begin with an empty one, since the file that they are added to may not end with a line's end."""
    lines = [f"{name}={value}" for name, value in settings.items()]
    if not secret_is_set:
        lines.append(f"LONGTASK_STREAM_SECRET={secrets.token_urlsafe(32)}")
    return ["", *lines] if lines else []


def new_key(name: str) -> tuple[str, str]:
    """Make a key; return it and its entry for LONGTASK_API_KEYS. Raises MalformedKeys for a name
    with other characters than letters, digits, '.', '_' and '-'."""
    key = _PREFIX + secrets.token_urlsafe(32)
    entry = f"{name}:sha256:{hashlib.sha256(key.encode()).hexdigest()}"
    parse_keys(entry)
    return key, entry


def parse_entry(text: str) -> ApiKey | None:
    """Read `name:sha256:<hex>` or `name:<key>`. None for any other text."""
    match = _ENTRY.fullmatch(text)
    if match is None:
        return None
    name, value = match.groups()
    plain = value.startswith(_PREFIX)
    digest = (
        hashlib.sha256(value.encode()).digest()
        if plain
        else bytes.fromhex(value.removeprefix("sha256:"))
    )
    return ApiKey(name, digest, plain)


def parse_keys(text: str) -> tuple[ApiKey, ...]:
    """Read entries `name:sha256:<hex>` (or, in development, `name:<key>`), separated by commas or
    white space. Raises MalformedKeys with every fault, a line each."""
    keys: list[ApiKey] = []
    faults: list[str] = []
    for number, entry in enumerate(re.split(r"[,\s]+", text.strip(", \n\t")), 1):
        if (key := parse_entry(entry)) is not None:
            keys.append(key)
        else:
            faults.append(
                f"entry {number} is not name:sha256:<64 hex digits>; "
                "`longtask key new NAME` makes a key and its entry"
            )
    if faults:
        raise MalformedKeys("\n".join(faults))
    return tuple(keys)


def name_of(given: str, keys: Sequence[ApiKey]) -> str | None:
    """Return the name of the key that was given, or None if it is not one of these. The time that
    this takes tells nothing about the keys."""
    digest = hashlib.sha256(given.encode()).digest()
    found: str | None = None
    for key in keys:
        if hmac.compare_digest(key.digest, digest):
            found = key.name
    return found
