"""Patterns of models' names: a name, in which each `*` stands for any characters, also for none."""

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from functools import cache


def matches(pattern: str, name: str) -> bool:
    return fnmatchcase(name, re.sub(r"([?\[])", r"[\1]", pattern))


def matches_any(patterns: Iterable[str], name: str) -> bool:
    return any(matches(each, name) for each in patterns)


def is_exact(pattern: str) -> bool:
    """Whether a pattern is the name of one model."""
    return "*" not in pattern


def overlap(one: str, other: str) -> bool:
    """Whether some name matches both patterns."""

    @cache
    def meet(i: int, j: int) -> bool:
        rest, others = one[i:], other[j:]
        if rest[:1] == "*":
            return meet(i + 1, j) or (others != "" and meet(i, j + 1))
        if others[:1] == "*":
            return meet(i, j + 1) or (rest != "" and meet(i + 1, j))
        return rest == others or (rest[:1] == others[:1] and rest != "" and meet(i + 1, j + 1))

    return meet(0, 0)
