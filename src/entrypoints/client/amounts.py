"""Amounts of money as text."""

from decimal import Decimal
from typing import Any


def amount_of(value: Any) -> Decimal | None:
    """Return an amount that a service tells, None if it is none."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    amount = Decimal(str(value)) if number else None
    return amount if amount is not None and amount.is_finite() else None


def exact(value: Any) -> str:
    """Return an amount with all its decimals, for programs; nothing for none."""
    amount = amount_of(value)
    return "" if amount is None else f"{amount:f}"


def rounded(value: Any) -> str:
    """Return an amount for people, with two decimals, or four below 1; nothing for none."""
    amount = amount_of(value)
    if amount is None:
        return ""
    if 0 < amount < Decimal("0.0001"):
        return "<0.0001"
    return f"{amount:,.2f}" if amount >= 1 or not amount else f"{amount:.4f}"


def cost_text(cost: Any) -> str:
    """Return the cost of a task as its record or summary tells it; nothing for none."""
    if not isinstance(cost, dict) or not (amount := rounded(cost.get("amount"))):
        return ""
    about = "about " if cost.get("estimated") else ""
    return f"{about}{amount} {cost.get('currency')}"
