"""Patterns of models' names."""

from itertools import product

import pytest

from domain.model_names import is_exact, matches, overlap


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("gpt-4o", "gpt-4o-mini", False),
        ("gpt-*", "gpt-4o", True),
        ("gpt-*", "gpt-", True),
        ("gpt-*", "my-gpt-4o", False),
        ("*-mini", "gpt-4o-mini", True),
        ("a*b*c", "a-b-b-c", True),
        ("a*b*c", "abbc-", False),
        ("ab*bc", "abc", False),
        ("*a*b*a*", "xbaxbxa", True),
        ("gpt.4", "gpt-4", False),
        ("*", "", True),
        ("GPT", "gpt", False),
        ("a?[b]", "a?[b]", True),
        ("a?[b]", "axb", False),
        ("*", "anything/at:all", True),
    ],
)
def test_a_star_stands_for_any_characters(pattern: str, name: str, fits: bool) -> None:
    assert matches(pattern, name) is fits
    assert is_exact(pattern) is ("*" not in pattern)


def test_patterns_overlap_if_a_name_matches_both() -> None:
    names = ["".join(each) for length in range(5) for each in product("ab", repeat=length)]
    patterns = ["".join(each) for length in range(4) for each in product("ab*", repeat=length)]
    for one, other in product(patterns, repeat=2):
        shared = any(matches(one, name) and matches(other, name) for name in names)
        # A name that matches both may be longer than those, but then a shorter one does too.
        assert overlap(one, other) is shared, (one, other)


def test_many_stars_cost_no_time() -> None:
    assert not matches("*a" * 100, "a" * 99 + "b" * 101)
    assert overlap("*a" * 100, "*b" * 99 + "*a")
