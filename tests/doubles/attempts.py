"""An observer of attempts that keeps what it is told."""

from typing import Literal

from application.ports import AttemptsObserver, Tokens


class CountingAttempts(AttemptsObserver):
    def __init__(self) -> None:
        self.resumptions: list[tuple[str, int]] = []
        """How each attempt went on, and with how many tokens."""
        self.repeated = 0
        """How many attempts asked for what may have been asked for already."""
        self.lost_tokens: list[int] = []
        self.used_tokens: list[tuple[Tokens, str, bool]] = []
        """What each attempt has used, of which model, and whether that one has answered."""

    def resumed(self, how: Literal["kept", "prefill"], tokens: int) -> None:
        self.resumptions.append((how, tokens))

    def asked_again(self) -> None:
        self.repeated += 1

    def thrown_away(self, tokens: int) -> None:
        self.lost_tokens.append(tokens)

    def used(self, tokens: Tokens, model: str, *, answered: bool) -> None:
        self.used_tokens.append((tokens, model, answered))
