"""Which settings a `.env` file may decide, and which variables are none.

The file is read from the current directory, which may contain files that the user did not write. A
secret in the environment is the user's own, so the address that it is sent to must be the user's
choice too. Both may come from the environment or both from the file, but not the secret from the
environment and the address from the file.
"""

import os
import re
from collections.abc import Collection
from difflib import get_close_matches
from pathlib import Path

from dotenv import dotenv_values

PAIRS = {
    "OPENAI_API_KEY": "OPENAI_BASE_URL",
    "QSTASH_TOKEN": "QSTASH_URL",
    "UPSTASH_REDIS_REST_TOKEN": "UPSTASH_REDIS_REST_URL",
    "OTEL_EXPORTER_OTLP_HEADERS": "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_HEADERS": "OTEL_EXPORTER_OTLP_ENDPOINT",
}
"""Secrets, and the settings with the addresses that they are sent to."""

NOT_OF_THE_SERVICE = {"LONGTASK_KEY", "LONGTASK_SERVER", "LONGTASK_NETWORK"}
"""What the commands that call a service and docker-compose.yml read."""
_NAME = re.compile(r"LONGTASK_[A-Z0-9_]+")
"""What may be told of a name. In a file, what follows may be a secret: NAME:secret==."""
_OF_KUBERNETES = re.compile(r"LONGTASK_(?:\w+_)?(?:SERVICE_(?:HOST|PORT\w*)|PORT_\d+_\w+)")
"""What it sets for each of its services; one of them may be called longtask."""


def stray_secrets(env_file: Path | None) -> list[str]:
    """Return a fault, with what to do, for each secret in the environment that would be sent to an
    address from the file."""
    filed = named_in(env_file)
    environment = {name.upper() for name, value in os.environ.items() if value}
    return [
        f"{secret} is set in the environment, but {env_file} says where it would be sent "
        f"({address}): set {address} in the environment, or unset {secret} there"
        for secret, address in PAIRS.items()
        if address in filed and secret in environment and address not in environment
    ]


def named_in(env_file: Path | None) -> frozenset[str]:
    """Return the names of the variables that the file sets, in upper case; none without a file."""
    if env_file is None or not env_file.is_file():
        return frozenset()
    return frozenset(name.upper() for name, value in dotenv_values(env_file).items() if value)


def misspelt(names: Collection[str], env_file: Path | None) -> list[str]:
    """Return a sentence for each variable LONGTASK_* that is none of these names."""
    given = named_in(env_file) | {name.upper() for name, value in os.environ.items() if value}
    told = []
    for name in sorted(given.difference(names, NOT_OF_THE_SERVICE)):
        if not name.startswith("LONGTASK_") or _OF_KUBERNETES.fullmatch(name):
            continue
        if _NAME.fullmatch(name) is None:
            shown = (_NAME.match(name) or ["LONGTASK_"])[0]
            told.append(
                f"{shown}... is no name of a setting and has no effect: is = missing behind it?"
            )
            continue
        nearest = get_close_matches(name, names, n=1, cutoff=0.8)
        meant = f": is {nearest[0]} meant?" if nearest else ""
        told.append(f"{name} is not a setting and has no effect{meant}")
    return told
