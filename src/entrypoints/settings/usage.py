"""What use costs, and who sees the use of all."""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, Any, ClassVar

from domain.errors import shown
from domain.model_names import matches
from domain.prices import MAX_PRICE, NO_PRICES, Price, Prices, is_currency
from domain.request import MODEL_NAME_LIMIT
from entrypoints.api_keys import is_name
from entrypoints.settings.group import Group, parsed, setting, words_of
from entrypoints.settings.json_setting import read_json_object

_DECIMALS = 12
_KINDS = ("input", "cached", "output")


def parse_prices(text: str) -> Prices:
    """Read `{"gpt-4o*": {"input": 2.5, "cached": 1.25, "output": 10}}`, or the file that is named.
    Raises ValueError with every fault, a line each."""
    given = read_json_object(text)
    faults = [fault for name in given for fault in _faults_of(name, given[name])]
    earlier: list[str] = []
    for name in given:
        if (first := next((each for each in earlier if matches(each, name)), None)) is not None:
            faults.append(f"{shown(name)!r} never counts: {shown(first)!r} stands before it")
        earlier.append(name)
    if faults:
        raise ValueError("\n".join(faults))
    return Prices({name: Price(**prices) for name, prices in given.items()})


def prices_as_text(prices: Prices) -> str:
    """The text that `parse_prices` reads as these prices; none for no prices."""
    if not prices:
        return ""
    table = {
        name: {kind: getattr(price, kind) for kind in _KINDS if getattr(price, kind) is not None}
        for name, price in prices.table.items()
    }
    return json.dumps(table, default=_number, ensure_ascii=False)


def _number(price: Decimal) -> int | float:
    return int(price) if price == price.to_integral_value() else float(price)


def _faults_of(name: str, prices: Any) -> Iterator[str]:
    if not 1 <= len(name) <= MODEL_NAME_LIMIT:
        yield f"the name of a model must be 1 to {MODEL_NAME_LIMIT} characters: {shown(name)!r}"
    if not isinstance(prices, dict):
        yield f'{shown(name)}: must be an object, such as {{"input": 2.5, "output": 10}}'
        return
    for kind in ("input", "output"):
        if kind not in prices:
            yield f"{shown(name)}.{kind}: is missing"
    for kind, price in prices.items():
        field = f"{shown(name)}.{shown(kind)}"
        if kind not in _KINDS:
            yield f"{field}: is not known; known are {', '.join(_KINDS)}"
        elif (
            not isinstance(price, Decimal)
            or not 0 <= price <= MAX_PRICE
            or int(price.as_tuple().exponent) < -_DECIMALS
        ):
            yield (
                f"{field}: must be a number from 0 to {MAX_PRICE} with at most {_DECIMALS} decimals"
            )


def _currency(text: str) -> str:
    text = text.strip()
    if not is_currency(text):
        raise ValueError("must be the code of a currency: three capital letters, such as USD")
    return text


def _operator(text: str) -> str:
    if not is_name(text):
        # Not repeated: it could be a key that was taken for its name.
        raise ValueError("must be names of API keys, separated by commas")
    return text


class UsageSettings(Group):
    title: ClassVar[str] = "Usage and prices"

    prices: Annotated[Prices, parsed(parse_prices)] = setting(
        "LONGTASK_PRICES",
        NO_PRICES,
        "What a million tokens of each model cost, as JSON or as the path of a file with it: "
        '`{"gpt-4o*": {"input": 2.5, "cached": 1.25, "output": 10}, "*": {"input": 0, "output": '
        "0}}`. `*` stands for any characters, and the first name that matches the model that "
        "answered counts. `cached` are the input tokens that the model's server had in its cache; "
        "without it they cost as the others. Without a table nothing has a cost "
        "([usage.md](usage.md#cost)).",
    )
    currency: Annotated[str, parsed(_currency)] = setting(
        "LONGTASK_CURRENCY", "USD", "The currency of `LONGTASK_PRICES`: three capital letters."
    )
    operators: Annotated[tuple[str, ...], parsed(words_of(_operator))] = setting(
        "LONGTASK_OPERATORS",
        (),
        "The names of the API keys, separated by commas, whose callers see the usage of all owners "
        "(`GET /api/usage`, [usage.md](usage.md)). Others see their own.",
    )

    @property
    def price_table(self) -> Prices:
        """The prices, with their currency."""
        return Prices(self.prices.table, self.currency)
