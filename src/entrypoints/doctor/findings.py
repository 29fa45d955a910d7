"""What a check reports."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Literal, TypeAlias

TIMEOUT = 10.0
"""Seconds for a response to a check's HTTP request."""


@dataclass(frozen=True, slots=True)
class Finding:
    level: Literal["ok", "warn", "fail"]
    part: str
    """What was checked: access, store, queue, address, model or webhooks."""
    what: str
    advice: str = ""
    """What to do about it."""


Findings: TypeAlias = AsyncGenerator[Finding, None]


def ok(part: str, what: str) -> Finding:
    return Finding("ok", part, what)


def warn(part: str, what: str, advice: str) -> Finding:
    """Something works but should not stay as it is."""
    return Finding("warn", part, what, advice)


def fail(part: str, what: str, advice: str) -> Finding:
    """Something cannot work, or tasks can be lost."""
    return Finding("fail", part, what, advice)
