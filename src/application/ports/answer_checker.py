"""The port that tells whether an answer has the form that its request asked for."""

from collections.abc import Mapping
from typing import Any, Protocol


class AnswerChecker(Protocol):
    async def fits(self, response_format: Mapping[str, Any], text: str) -> bool | None:
        """Return whether the text of a whole answer is JSON and fits the schema of the request.

        `response_format` is that of OpenAI's chat completions, as a client sent it: it may be of
        any shape. For `json_object` without a schema, any JSON object fits.

        Returns None if there is nothing to check (no schema, or a type such as `text`), or if the
        check cannot be made: the schema is no valid one, refers to anything outside itself, or has
        a pattern that the adapter does not support; the schema or the text is beyond the adapter's
        bounds; the check takes too long, or too many others are under way.

        Nothing that a client or a model sends makes it raise, fetch a URL, read a file or hold up
        the event loop. It returns within some seconds, which the adapter states."""
        ...
