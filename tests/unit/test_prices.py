"""Prices: how they are read, which one counts, and what an answer costs."""

import json
from decimal import Decimal
from pathlib import Path

import pytest

from application.manage_task import TaskWithAnswer
from domain.answer import Answer
from domain.events import Usage
from domain.prices import NO_PRICES, Price, Prices
from domain.task import Task
from entrypoints.api_keys import new_key
from entrypoints.http.native.bodies import task_body
from entrypoints.http.native.summary import summary_of
from entrypoints.settings import SettingsError, load_settings
from entrypoints.settings.reference import describe
from entrypoints.settings.usage import parse_prices, prices_as_text
from tests.builders import REQUEST

TABLE = (
    '{"gpt-4o-mini*": {"input": 0.15, "output": 0.6}, '
    '"gpt-4o*": {"input": 2.5, "cached": 1.25, "output": 10}}'
)
PRICES = parse_prices(TABLE)


def test_the_first_name_that_matches_counts() -> None:
    assert PRICES.of("gpt-4o-mini-2024") == Price(Decimal("0.15"), Decimal("0.6"))
    assert PRICES.of("gpt-4o-2024") == Price(Decimal("2.5"), Decimal(10), Decimal("1.25"))
    assert PRICES.of("llama") is None


def test_a_cost_is_exact() -> None:
    price = PRICES.of("gpt-4o")
    assert price is not None
    assert price.of(1_000, 200, 3) == Decimal("0.00228")
    assert price.of(10, 20, 0) == Decimal("0.0000125"), "more cached than input"
    cheap = Price(Decimal("0.1"), Decimal("0.2"))
    assert sum((cheap.of(1, 1, 1) for _ in range(10)), Decimal(0)) == Decimal("0.000003")
    dear = Price(Decimal("999999999.999999999999"), Decimal(0))
    assert dear.of(10**15, 0, 0) == Decimal("999999999999999999.999")


def test_record_and_summary_have_the_cost() -> None:
    begun = Task.submit("task_1_a", REQUEST, 1).task.claim(1).task

    def told(model: str, usage: Usage | None, prices: Prices = PRICES) -> object:
        task = begun.complete(
            1, answer=Answer(""), finish_reason="stop", model=model, usage=usage
        ).task
        body = task_body(TaskWithAnswer(task, REQUEST, Answer()), "/stream", prices)
        assert summary_of(task, prices).cost == body.cost
        return body.cost and (body.cost.amount, body.cost.currency, body.cost.estimated)

    assert told("gpt-4o", Usage(1_000, 3, 1_003, None, 200)) == (0.00228, "USD", False)
    assert told("gpt-4o", Usage(1_000, 3, 1_103)) == (0.00353, "USD", False), "as Gemini counts"
    assert told("gpt-4o", Usage.estimate(1_000, 3)) == (0.00253, "USD", True)
    euros = Prices(PRICES.table, "EUR")
    assert told("gpt-4o-mini", Usage(0, 0, 0), euros) == (0.0, "EUR", False)
    assert told("llama", Usage(1, 1, 2)) is None
    assert told("gpt-4o", None) is None
    assert told("gpt-4o", Usage(1, 1, 2), NO_PRICES) is None


def test_prices_come_from_the_setting_or_a_file(tmp_path: Path) -> None:
    file = tmp_path / "prices.json"
    file.write_text(TABLE)
    for given in (TABLE, str(file)):
        settings = load_settings(env_file=None, prices=given, currency="EUR").usage
        assert settings.price_table == Prices(PRICES.table, "EUR")
    assert parse_prices(prices_as_text(PRICES)) == PRICES
    described = {name: value for name, value, _ in describe(load_settings(None, prices=TABLE))}
    assert json.loads(described["LONGTASK_PRICES"]) == json.loads(TABLE)
    assert not load_settings(env_file=None).usage.price_table


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[]", "must be a JSON object"),
        ('{"a": 1', "is not JSON: it ends too early"),
        ('{"a": {"input": 1, "output": 2,}}', "is not JSON: a comma stands before }"),
        ('{"a": NaN}', "has NaN, which is no number of JSON"),
        ("{" * 3, "is not JSON: Expecting property name"),
        ('{"a":' * 100_000, "lies too deep"),
        ("no/such/file.json", "is neither a JSON object nor a file that can be read"),
        ('{"a": 1, "a": 2}', "has 'a' twice"),
        ('{"": {"input": 1, "output": 1}}', "must be 1 to 200 characters: ''"),
        ('{"a": 2}', 'a: must be an object, such as {"input": 2.5, "output": 10}'),
        ('{"a": {"input": 1}}', "a.output: is missing"),
        ('{"a": {"input": "1", "output": 1}}', "a.input: must be a number from 0 to 1000000000"),
        ('{"a": {"input": true, "output": 1}}', "a.input: must be a number"),
        ('{"a": {"input": -1, "output": 1}}', "a.input: must be a number"),
        ('{"a": {"input": 1e999999999, "output": 1}}', "a.input: must be a number"),
        ('{"a": {"input": 1e-13, "output": 1}}', "a.input: must be a number"),
        ('{"a": {"input": 1, "output": 1, "reasoning": 1}}', "a.reasoning: is not known"),
        (
            '{"*": {"input": 1, "output": 1}, "a*": {"input": 1, "output": 1}}',
            "'a*' never counts: '*' stands before it",
        ),
    ],
)
def test_a_table_that_makes_no_sense_stops_the_start(text: str, fault: str) -> None:
    with pytest.raises(SettingsError) as raised:
        load_settings(env_file=None, prices=text)
    lines = str(raised.value).splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("  - LONGTASK_PRICES: ")
    assert fault in lines[0]


def test_every_fault_of_a_table_is_told_at_once() -> None:
    with pytest.raises(SettingsError) as raised:
        load_settings(env_file=None, prices='{"a": {}, "b": 1}', currency="dollars")
    assert len(str(raised.value).splitlines()) == 4


def test_operators_must_have_keys() -> None:
    key, entry = new_key("alice")
    keys = {"api_keys": entry, "stream_secret": "x" * 32}
    assert load_settings(env_file=None, operators="alice", **keys).usage.operators == ("alice",)
    for given in ({"operators": "alice"}, {"operators": f"alice,{key}", **keys}):
        with pytest.raises(SettingsError, match="LONGTASK_OPERATORS") as raised:
            load_settings(env_file=None, **given)
        assert key not in str(raised.value)
