"""What the earlier attempts of a task have left in its log: what they said and still counts, and
what was thrown away."""

from application.ports import TaskLog
from application.transcript import Transcript
from domain.events import Event, StatusChanged, TaskStatus, Usage

PAGE = 5_000
"""Events per read of the log."""


class Earlier:
    """Follows a log from its first event."""

    def __init__(self, transcript: Transcript) -> None:
        """`transcript`: is given what counts."""
        self.transcript = transcript
        self.resumed = False
        """Whether the last attempt that began goes on with what was said before."""
        self.added = False
        """Whether it has said anything itself."""
        self.covered = 0
        """The offset of the last piece that counts. 0: there is none."""
        self.thrown_away = 0
        """Tokens, estimated, that the last attempt has thrown away, because it began anew."""
        self.asked_before = 0
        """How many attempts before the last one have said what still counts."""
        self.taken_over = 0
        """Tokens, estimated, that the last attempt goes on with."""
        self._discarded = self._discarded_asks = 0
        """Tokens of what no longer counts, without what was asked; and how many attempts said it.
        """
        self._went_on_with = 0
        self._offset = 0

    async def read(self, tasks: TaskLog, task_id: str, end: int | None = None) -> None:
        """Read the log of a task up to this offset, or to its last event, from where the last read
        ended. Raises UnknownTask, Unreadable or StoreUnavailable."""
        while True:
            page = await tasks.read(task_id, self._offset, PAGE)
            for event in page.events:
                if self._offset == end:
                    return
                self._offset += 1
                self._follow(event)
            if page.caught_up:
                return

    def discarded_by(self, asked: int) -> int:
        """Estimate the tokens that were used for what no longer counts, by attempts each of which
        was asked with so many."""
        return asked * self._discarded_asks + self._discarded

    def usage_before(self, asked: int) -> Usage:
        """Estimate the usage of the attempts before the last one, each of which was asked with so
        many tokens, and with those that it went on with."""
        return Usage.estimate(asked * self.asked_before + self._went_on_with, self.taken_over)

    def _follow(self, event: Event) -> None:
        if not isinstance(event, StatusChanged):
            if self.transcript.take_over(event):
                self.covered, self.added = self._offset, True
            return
        if event.status is not TaskStatus.RUNNING:
            return
        self.resumed, self.added = event.resumed, False
        said = self.transcript.tokens()
        if event.resumed:
            self.asked_before += 1
            self._went_on_with += self.taken_over
            self.taken_over = said
            return
        self.thrown_away = said
        if said:
            self._discarded += self._went_on_with + self.taken_over + said
            self._discarded_asks += self.asked_before + 1
        self.covered = self.asked_before = self._went_on_with = self.taken_over = 0
        self.transcript.clear()


def total(before: Usage, own: Usage) -> Usage:
    """Add the usage of an attempt to the estimated usage of those before it."""
    return Usage(
        before.prompt_tokens + own.prompt_tokens,
        before.completion_tokens + own.completion_tokens,
        before.total_tokens + own.total_tokens,
        own.reasoning_tokens,
        own.cached_tokens,
        estimated=True,
    )
