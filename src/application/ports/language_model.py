"""The port of the model that answers."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Protocol

from domain.events import Usage
from domain.request import TaskRequest


@dataclass(frozen=True, slots=True)
class Finished:
    """How a model's stream came to its end."""

    reason: str
    model: str
    usage: Usage | None


class LanguageModel(Protocol):
    def stream(self, request: TaskRequest) -> AsyncGenerator[str | Finished, None]:
        """The answer piece by piece, then exactly one Finished as the last item. A piece is what
        the model has said since it was last asked: what comes in between waits, in bounded memory,
        and is the next one. An empty text is no part of the answer but a sign that the model works:
        it reasons or calls a tool. Whatever else its server sends (comments, empty deltas) yields
        nothing. Raises ModelUnavailable or ModelRefused, also in mid-stream, after what was said
        before; their `unbilled` says that the request has cost nothing. Closing the generator
        closes the connection, so that no further tokens are paid for."""
        ...
