"""An open stream: counted, and holding its caller's slot among the streams."""

from application.quotas import Quotas, StreamSlot
from entrypoints.http.outcomes import Outcomes


class OpenStream:
    """To be entered for as long as the response lasts. A class, since a generator takes three times
    the memory."""

    __slots__ = ("_outcomes", "_quotas", "_resumed", "_slot")

    def __init__(
        self, quotas: Quotas, slot: StreamSlot, outcomes: Outcomes, *, resumed: bool
    ) -> None:
        self._quotas = quotas
        self._slot = slot
        self._outcomes = outcomes
        self._resumed = resumed

    async def __aenter__(self) -> None:
        self._outcomes.stream_opened(resumed=self._resumed)
        self._quotas.enter(self._slot)

    async def __aexit__(self, *_: object) -> None:
        self._outcomes.stream_closed()
        await self._quotas.leave(self._slot)
