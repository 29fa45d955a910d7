"""An open stream: counted, and holding its caller's slot among the streams."""

from application.admission import Admission, StreamPlace
from entrypoints.http.outcomes import Outcomes


class OpenStream:
    """To be entered for as long as the response lasts. A class, since a generator takes three times
    the memory."""

    __slots__ = ("_admission", "_outcomes", "_resumed", "_slot")

    def __init__(
        self, admission: Admission, slot: StreamPlace, outcomes: Outcomes, *, resumed: bool
    ) -> None:
        self._admission = admission
        self._slot = slot
        self._outcomes = outcomes
        self._resumed = resumed

    async def __aenter__(self) -> None:
        self._outcomes.stream_opened(resumed=self._resumed)
        self._admission.enter(self._slot)

    async def __aexit__(self, *_: object) -> None:
        self._outcomes.stream_closed()
        await self._admission.leave(self._slot)
