"""Where a setting comes from, as far as that decides whether it may be used: a `.env` file lies in
the current folder, and the folder may be a stranger's.

A secret of the environment is the user's own; the address that it is sent to must be the user's
choice, too. So a pair of both may come from the environment or from one file, but not the secret
from the environment and the address from a file.
"""

import os
from pathlib import Path

from dotenv import dotenv_values

PAIRS = {
    "OPENAI_API_KEY": "OPENAI_BASE_URL",
    "QSTASH_TOKEN": "QSTASH_URL",
    "UPSTASH_REDIS_REST_TOKEN": "UPSTASH_REDIS_REST_URL",
    "OTEL_EXPORTER_OTLP_HEADERS": "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_HEADERS": "OTEL_EXPORTER_OTLP_ENDPOINT",
}
"""Secrets, and the setting with the address that each is sent to."""


def stray_secrets(env_file: Path | None) -> list[str]:
    """What is wrong with secrets of the environment that would be sent to an address which the
    file names: a sentence for each, with what to do."""
    filed = named_in(env_file)
    environment = {name.upper() for name, value in os.environ.items() if value}
    return [
        f"{secret} is set in the environment, but {env_file} says where it would be sent "
        f"({address}): set {address} in the environment, or unset {secret} there"
        for secret, address in PAIRS.items()
        if address in filed and secret in environment and address not in environment
    ]


def named_in(env_file: Path | None) -> frozenset[str]:
    """The variables that a file gives a value to, their names in upper case. None without one."""
    if env_file is None or not env_file.is_file():
        return frozenset()
    return frozenset(name.upper() for name, value in dotenv_values(env_file).items() if value)
