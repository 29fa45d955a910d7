"""Which models requests may name, and what may be asked of each."""

from dataclasses import replace

import pytest

from application.errors import ModelNotAllowed
from application.model_rules import ANY_MODEL, ModelRules, ServedModels
from domain.errors import InvalidRequest
from domain.request import RequestBounds
from tests.builders import REQUEST

BOUNDS = RequestBounds(prefill=True, hosted_tools=True)
RULES = ModelRules(
    (
        ServedModels(("gpt-*",), hosted_tools=True),
        ServedModels(("llama*", "gpt-oss"), prefill=True),
    ),
    {"team-a": ("gpt-*",), "*": ("llama*",)},
)
SEARCH = {"tools": [{"type": "web_search"}]}


def _faults(model: str, owner: str | None = "team-a", **fields: object) -> list[tuple[str, str]]:
    try:
        RULES.check(replace(REQUEST, model=model, **fields), owner, BOUNDS)  # type: ignore[arg-type]
    except InvalidRequest as refused:
        return [(each.field, each.message) for each in refused.faults]
    return []


def test_an_unknown_model_is_told_with_those_that_the_caller_may_use() -> None:
    assert _faults("gpt-4o") == []
    assert _faults("claude") == [("model", "must be one that this service has: gpt-*")]
    [(_, told)] = _faults("claude", "team-b")
    assert told.endswith(": llama*")
    unlimited = ModelRules(RULES.served)
    with pytest.raises(InvalidRequest, match=r"gpt-\*, llama\*, gpt-oss$"):
        unlimited.check(replace(REQUEST, model="claude"), "team-a", BOUNDS)


def test_it_is_told_together_with_all_other_faults() -> None:
    found = dict(_faults("claude", temperature=9.0))
    assert set(found) == {"model", "temperature"}
    [(field, told)] = _faults(" ")
    assert (field, told) == ("model", "must not be empty")


@pytest.mark.parametrize("owner", ["team-b", None])
def test_owners_without_models_of_their_own_share_those_of_all(owner: str | None) -> None:
    RULES.check(replace(REQUEST, model="llama3"), owner, BOUNDS)
    with pytest.raises(ModelNotAllowed) as refused:
        RULES.check(replace(REQUEST, model="gpt-4o"), owner, BOUNDS)
    assert refused.value.allowed == "llama*"


def test_what_the_upstream_of_the_model_cannot_do_is_refused_by_name() -> None:
    assert _faults("gpt-4o", options=SEARCH) == []
    assert [field for field, _ in _faults("llama3", None, options=SEARCH)] == ["options.tools"]
    assert _faults("llama3", None, prefill=True) == []
    assert [field for field, _ in _faults("gpt-4o", prefill=True)] == ["prefill"]


def test_a_list_shows_each_caller_its_own() -> None:
    assert RULES.offers("gpt-4o", "team-a")
    assert not RULES.offers("gpt-4o", None)
    assert not RULES.offers("claude", "team-a")


def test_without_a_map_any_model_may_be_named() -> None:
    ANY_MODEL.check(replace(REQUEST, model="x", prefill=True, options=SEARCH), None, BOUNDS)
    assert ANY_MODEL.offers("x" * 1_000, "team-a")


def test_many_patterns_are_not_all_told() -> None:
    many = ModelRules((ServedModels(tuple(f"m{number}" for number in range(50))),))
    with pytest.raises(InvalidRequest, match=r"m19 and 30 more$"):
        many.check(replace(REQUEST, model="x"), None, BOUNDS)
