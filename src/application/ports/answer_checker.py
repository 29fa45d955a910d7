"""The port of the check whether an answer fits the schema that its request gave."""

from collections.abc import Mapping
from typing import Any, Protocol


class AnswerChecker(Protocol):
    async def fits(self, response_format: Mapping[str, Any], text: str) -> bool | None:
        """Return whether a text parses as JSON and fits a `response_format` of OpenAI's chat
        completions. Return None where it gives no schema, or where it cannot be checked within
        bounds. Never raises for what a client or a model can send."""
        ...
