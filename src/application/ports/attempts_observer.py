"""The port through which attempts are observed."""

from typing import Literal, Protocol

from application.ports.usage import Tokens


class AttemptsObserver(Protocol):
    """Receives measurements of attempts, for metrics. Its methods must not
    block."""

    def resumed(self, how: Literal["kept", "prefill"], tokens: int) -> None:
        """Count an attempt that goes on with what earlier ones said, about so many tokens: because
        an upstream keeps it, or because the model can go on from it."""
        ...

    def asked_again(self) -> None:
        """Count an attempt that asks an upstream for an answer which an earlier one may have asked
        for: how the upstream calls it was not noted."""
        ...

    def thrown_away(self, tokens: int) -> None:
        """Count the tokens, about so many, that an attempt has thrown away by beginning anew. They
        are paid twice."""
        ...

    def used(self, tokens: Tokens, model: str, *, answered: bool) -> None:
        """Count what an attempt has used, once it has ended, however it did. `model`: the one that
        answered; if `answered` is False the one asked for."""
        ...
