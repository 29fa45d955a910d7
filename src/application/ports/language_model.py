"""The port of the language model."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Protocol

from domain.events import Usage
from domain.request import TaskRequest


@dataclass(frozen=True, slots=True)
class Finished:
    """The end of a model's stream."""

    reason: str
    """Why the model stopped, in its own words (`stop`, `length`)."""
    model: str
    """The model that answered, in the words of its server."""
    usage: Usage | None
    """None if the server did not report it."""


class LanguageModel(Protocol):
    def stream(self, request: TaskRequest) -> AsyncGenerator[str | Finished, None]:
        """Yield the answer in pieces, then one Finished as the last item.

        A piece is all the text that has arrived since the last one was yielded; until then it is
        buffered in bounded memory. An empty piece means that the model works without text: it
        reasons or calls a tool. Nothing is yielded for anything else that the server sends
        (comments, empty deltas).

        Raises ModelUnavailable or ModelRefused, also in mid-stream. Closing the generator closes
        the connection, so that no further tokens are paid for.
        """
        ...
